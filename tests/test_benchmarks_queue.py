"""What the benchmarks of queue and service are made of, and what they show of the queue in virtual time."""

import asyncio
import io
import statistics
import wave
from pathlib import Path

import numpy as np
import pytest
from benchmarks.harness.batchers import Accelerator, Build, Limits, PullBatcher, TimerBatcher, started
from benchmarks.harness.circumstances import Circumstances
from benchmarks.harness.lone import Timed, server_timing
from benchmarks.harness.poisson import Load, cancel_one, lone_request, one_bad, stop_while_queued, under_load
from benchmarks.harness.recordings import PAUSE, Recording, fill
from benchmarks.harness.steady import Done, rate_between
from benchmarks.harness.throughput import LOOPS, Traffic, exchange, measure, profiled
from benchmarks.harness.virtual import NothingLeft, run_virtually
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.transcription import SAMPLE_RATE

CAPACITY = 80.0
"""Items a second that the accelerator serves in full batches: 8 in 100 ms."""


@given(st.lists(st.floats(0, 1e6), max_size=8))
def test_virtual_waits_are_exact(delays: list[float]) -> None:
    """Hours pass at once, and each wait takes as long as it says but for a nanosecond a turn."""

    async def wait() -> float:
        for delay in delays:
            await asyncio.sleep(delay)
        return asyncio.get_running_loop().time()

    assert run_virtually(wait()) == pytest.approx(sum(delays), rel=1e-6, abs=1e-6)


def test_virtual_timers_go_off_in_their_order() -> None:
    """What ends first is first, whenever it was begun."""

    async def race() -> list[int]:
        ended: list[int] = []

        async def runner(seconds: int) -> None:
            await asyncio.sleep(seconds)
            ended.append(seconds)

        await asyncio.gather(*map(runner, (30, 10, 20)))
        return ended

    assert run_virtually(race()) == [10, 20, 30]


def test_waiting_without_end_is_found_out() -> None:
    """Where nobody can ever go on, the loop says so instead of standing still."""

    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(NothingLeft):
        run_virtually(wait())


def test_accelerator_takes_one_batch_at_a_time() -> None:
    """Two calls at once take twice as long as one, whatever their sizes."""

    async def two() -> tuple[float, list[list[int]]]:
        accelerator = Accelerator(seconds=2)
        await asyncio.gather(accelerator([1]), accelerator([2, 3]))
        return asyncio.get_running_loop().time(), accelerator.batches

    seconds, batches = run_virtually(two())
    assert seconds == pytest.approx(4)
    assert batches == [[1], [2, 3]]


@pytest.mark.parametrize("build", [PullBatcher, TimerBatcher])
def test_each_batcher_answers_every_item_once(build: Build) -> None:
    """Each item of the load is in exactly one batch, none of which is too large."""
    outcome = run_virtually(under_load(build, Limits(max_batch_size=4), Load(items=50), seed=1))
    assert len(outcome.latencies) == 50 == sum(outcome.batch_sizes)
    assert max(outcome.batch_sizes) <= 4


def test_load_is_the_seed_s_alone() -> None:
    """The same seed gives the same latencies, to the last digit."""
    first, again, other = (run_virtually(under_load(PullBatcher, Limits(), Load(), seed)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("window", [0.0, 0.01])
def test_queue_stands_three_quarters_of_its_capacity(window: float) -> None:
    """At 60 items/s of 80, half of all wait for less than a batch and three quarters; a timer's batches collapse."""
    limits = Limits(window=window)
    pulled = [run_virtually(under_load(PullBatcher, limits, Load(), seed)) for seed in range(1, 6)]
    timed = run_virtually(under_load(TimerBatcher, limits, Load(), seed=1))
    assert statistics.median(seconds for outcome in pulled for seconds in outcome.latencies) <= 0.175
    assert statistics.fmean(size for outcome in pulled for size in outcome.batch_sizes) >= 5
    assert statistics.median(timed.latencies) >= 2


@settings(max_examples=25)
@given(st.floats(0, 0.5), st.integers(0, 1000))
def test_below_capacity_no_window_makes_the_queue_grow(window: float, seed: int) -> None:
    """Whatever the window, the last items wait no longer than the window, a batch in progress and a few of theirs."""
    outcome = run_virtually(under_load(PullBatcher, Limits(window=window), Load(rate=CAPACITY / 4), seed))
    assert max(outcome.latencies) <= window + 0.5


def test_lone_request_waits_for_the_window_only() -> None:
    """With no window a lone item adds nothing to its batch."""
    assert run_virtually(lone_request(PullBatcher, Limits(window=0))) == pytest.approx(0, abs=1e-6)
    assert run_virtually(lone_request(PullBatcher, Limits(window=0.01))) == pytest.approx(0.01, abs=1e-6)


def test_mishaps_of_the_queue() -> None:
    """A cancelled item is not computed, a bad one fails alone, and a stop serves all that wait."""
    limits = Limits()
    assert run_virtually(cancel_one(PullBatcher, limits)) == "fine, not computed"
    assert run_virtually(one_bad(PullBatcher, limits)) == "only the bad one fails, then ok"
    assert run_virtually(stop_while_queued(PullBatcher, limits)) == "20 ok"


def test_mishaps_are_told_where_they_hurt() -> None:
    """Neighbours of a bad item that fail with it, and items that a stop forgets, are seen."""
    assert run_virtually(one_bad(TimerBatcher, Limits())) == "neighbours fail, then ok"
    assert run_virtually(stop_while_queued(TimerBatcher, Limits())) == "16 ok, 4 hangs"


def test_batcher_is_closed_at_the_end() -> None:
    """Nothing runs on behind a benchmark."""

    async def others() -> int:
        async with started(PullBatcher(Accelerator(), Limits())):
            await asyncio.sleep(1)
        return len(asyncio.all_tasks()) - 1

    assert run_virtually(others()) == 0


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("workers", [1, 2])
def test_closed_loop_moves_every_item(loop: str, workers: int) -> None:
    """Callers are so many that all batches are full."""
    run = measure(loop, Traffic(items=640, callers=64, workers=workers, max_batch_size=16))
    assert run.mean_batch == 16
    assert run.items_per_second > 0


def test_profile_names_the_queue_s_functions() -> None:
    """Where the time goes is said by function."""
    assert "(submit)" in profiled("asyncio", Traffic(items=64, callers=8), lines=50)


def test_last_batch_may_be_smaller() -> None:
    """Items are not rounded up to batches."""
    with asyncio.Runner() as runner:
        assert runner.run(exchange(Traffic(items=5, callers=5, max_batch_size=4))) == 2


def test_stages_are_read_in_seconds() -> None:
    """The header has milliseconds; what no stage has is the rest."""
    stages = server_timing("upload;dur=0.5, decode;dur=10.0,inference;dur=100.0")
    assert stages == {"upload": 0.0005, "decode": 0.01, "inference": 0.1}
    timed = Timed(0.115, stages)
    assert timed.added == pytest.approx(0.015)
    assert timed.rest == pytest.approx(0.0045)


def test_rate_is_taken_between_two_answers() -> None:
    """The start and the end of a run are not in its rate."""
    done = [Done(moment, 10.0) for moment in (5.0, 6.0, 8.0, 10.0, 99.0)]
    assert rate_between(done, 2, 4) == 20 / 4


@given(st.lists(st.floats(0.1, 3), max_size=8), st.floats(1, 8))
def test_sounds_fill_a_recording_and_no_more(seconds: list[float], longest: float) -> None:
    """Each sound is taken whole or not at all, in order, with its pause."""
    sounds = [np.full(round(length * SAMPLE_RATE), number, np.float32) for number, length in enumerate(seconds, 1)]
    filled, pause = fill(sounds, longest), round(PAUSE * SAMPLE_RATE)
    taken = [number for number, sound in enumerate(sounds, 1) if (filled == number).sum() == len(sound)]
    assert len(filled) == sum(len(sounds[number - 1]) + pause for number in taken) <= round(longest * SAMPLE_RATE)
    assert [number for number in np.unique(filled) if number] == taken


def test_recording_is_a_wav_file() -> None:
    """16 kHz, mono, 16 bits, as long as it says."""
    recording = Recording.of(np.zeros(SAMPLE_RATE // 2, np.float32))
    with wave.open(io.BytesIO(recording.content)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        assert reader.getnframes() == SAMPLE_RATE // 2
    assert recording.seconds == 0.5


def test_circumstances_go_with_the_figures(tmp_path: Path) -> None:
    """A file of figures says on what machine they were measured."""
    path = tmp_path / "figures.json"
    circumstances = Circumstances("a load")
    circumstances.write_json(path, [{"rate": 1.5}])
    text = path.read_text(encoding="utf-8")
    assert circumstances.machine.cpu in text
    assert '"rate": 1.5' in text
    assert str(circumstances).startswith("a load\n")
