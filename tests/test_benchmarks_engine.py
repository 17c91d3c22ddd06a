"""The instrument of the engine's calls: its arithmetic, its clocks, and one run of it from end to end."""

import itertools
import json
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.harness.calls import Placement, Whisper
from benchmarks.harness.chunks import Chunk
from benchmarks.harness.clips import clips_for, read_clips, reads_callsigns
from benchmarks.harness.composed import compose, distinct, sounds_of
from benchmarks.harness.dimensions import Dimensions
from benchmarks.harness.engine_rows import Row, fault
from benchmarks.harness.engine_run import Bench, Plan, cells_of
from benchmarks.harness.pool import EVERYTHING, RELEASE_THRESHOLD, PoolFailed, keep_freed_memory
from benchmarks.harness.recordings import sound_of
from benchmarks.harness.roofline import Roofline
from benchmarks.harness.stages import Cell, Stage
from benchmarks.harness.timing import relayed, timed
from benchmarks.harness.vram import used_now, watched
from benchmarks.harness.widened import WideningFailed, widened

from asr_api.engine.vocabulary import load_vocabulary
from asr_api.gpu import GpuFacts, GpuReport
from asr_api.transcription import SAMPLE_RATE

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "src" / "asr_api" / "models" / "callsign"
LARGE = Dimensions(width=1280, mels=128, encoder_layers=32, decoder_layers=32, vocabulary=51_866)

ROW = Row(
    stage="decode",
    beams=1,
    encode_batch=0,
    compute_type="int8",
    workers=1,
    context=30,
    batch=2,
    calls=1,
    seconds=1,
    rate=60,
    tokens=8,
    flop=1,
    flop_rate=1,
    byte_rate=1,
    share=0.5,
    vram_peak=None,
    word_errors=0,
    changed=0,
)


def card(used: int) -> GpuReport:
    return GpuReport((GpuFacts(0, "NVIDIA Test", "GPU-0", "580", (12, 8), (9, 0), used, 1000),))


def test_memory_s_peak_is_seen_between_two_looks() -> None:
    """What was taken in the middle and given back counts; without a GPU nothing does."""
    usage = iter([100, 700])
    looked = threading.Event()

    def read() -> GpuReport:
        used = next(usage, None)
        if used is None:
            looked.set()
        return card(used or 200)

    with watched(read, interval=0.001) as vram:
        assert looked.wait(10)
    assert vram.peak == 700
    with watched(lambda: GpuReport(fault="no NVML")) as vram:
        pass
    assert vram.peak is None
    assert used_now(lambda: card(5)) == 5


class Cuda:
    """The driver's calls, and what the pool was told."""

    def __init__(self, refusal: int = 0) -> None:
        self.refusal = refusal
        self.told: dict[int, int] = {}

    def cuInit(self, flags: int) -> int:  # noqa: N802 - CUDA's name
        return flags

    def cuDeviceGet(self, device: object, number: int) -> int:  # noqa: N802
        return number

    def cuDeviceGetDefaultMemPool(self, pool: object, device: object) -> int:  # noqa: N802
        return 0

    def cuMemPoolSetAttribute(self, pool: object, attribute: int, value: object) -> int:  # noqa: N802
        self.told[attribute] = value._obj.value  # type: ignore[attr-defined]  # what ctypes.byref refers to
        return self.refusal


def test_pool_is_told_to_keep_everything() -> None:
    """A driver that refuses is no silent success."""
    cuda = Cuda()
    keep_freed_memory(load=lambda _: cuda)
    assert cuda.told == {RELEASE_THRESHOLD: EVERYTHING}
    with pytest.raises(PoolFailed, match="cuMemPoolSetAttribute says 801"):
        keep_freed_memory(load=lambda _: Cuda(refusal=801))


def test_timed_calls_are_those_after_the_first() -> None:
    """Each worker makes its rounds after one call that does not count."""
    calls = itertools.count(1)
    done = timed(lambda: next(calls), workers=2, rounds=3)
    assert done.calls == 6
    assert next(calls) == 1 + 2 + 6
    assert 0 < done.seconds <= done.elapsed


def test_relayed_work_is_taken_once_each() -> None:
    """One thread makes, the others take; nothing is lost or done twice."""
    made, taken = itertools.count(), Counter[int]()
    done = relayed(lambda: next(made), lambda number: taken.update([number]), workers=3, rounds=4)
    assert done.calls == 8
    assert taken == Counter(range(2 + 8))


def test_composed_speech_has_its_words() -> None:
    """Clips that fit, one after another, with all that is said in them; the seed alone decides which."""
    clips = distinct(read_clips(clips_for("callsign")[0]))
    sounds = sounds_of(clips)
    composed = compose(clips, sounds, 30, seed=1)
    assert 15 < composed.seconds <= 30
    first = next(clip for clip in clips if composed.text.startswith(clip.text))
    np.testing.assert_array_equal(composed.samples[: len(sounds[first.path])], sound_of(first))
    assert compose(clips, sounds, 30, seed=1).text == composed.text != compose(clips, sounds, 30, seed=2).text
    long = compose(clips, sounds, 200, seed=1)
    assert 190 < len(long.samples) / SAMPLE_RATE <= 200
    with pytest.raises(ValueError, match="shortest clip"):
        compose(clips, sounds, 1, seed=1)


def test_callsigns_are_known_by_the_model_s_name() -> None:
    """Widened models read them too, wherever they lie."""
    assert reads_callsigns("callsign")
    assert reads_callsigns("/models/callsign-large-v3")
    assert not reads_callsigns("large-v3")


def test_cells_are_what_a_stage_is_measured_by() -> None:
    """Only a search has beams, and only what encodes and decodes has two sizes of batch."""
    cells = cells_of([Stage.ENCODE, Stage.DECODE, Stage.WHOLE], [1, 5], [0, 4])
    assert cells[:3] == [Cell(Stage.ENCODE), Cell(Stage.DECODE, 1), Cell(Stage.DECODE, 5)]
    assert [(cell.beams, cell.encode_batch) for cell in cells[3:]] == [(1, 0), (1, 4), (5, 0), (5, 4)]


def test_words_make_a_run_a_failure() -> None:
    """Those that depend on a batch in any, call signs that are misread where the model has learnt to read."""
    assert fault([ROW], callsigns=True) is None
    assert fault([ROW, replace(ROW, changed=0.1)], callsigns=False) == (
        "1 batches were read otherwise than their chunks alone"
    )
    misread = replace(ROW, word_errors=0.1)
    assert fault([misread], callsigns=True) == "1 batches were misread"
    assert fault([misread], callsigns=False) is None
    assert fault([replace(misread, context=10)], callsigns=True) is None


class Exhausted:
    """A model whose GPU has no memory for the second of two calls."""

    def __init__(self) -> None:
        self.calls = itertools.count(1)

    def encode(self, features: object) -> object:
        if next(self.calls) == 2:
            raise RuntimeError("CUDA failed with error out of memory")
        return features


def test_batch_that_does_not_fit_ends_nothing_else() -> None:
    """What failed is told, and what comes after it is measured: the memory is free again."""
    placement = Placement("cpu", "float32", 1)
    whisper = Whisper(Exhausted(), load_vocabulary(BUNDLED, "callsign"), placement)
    plan = Plan(batches=[1, 2, 3], contexts=[1], cells=[], rounds=1, seed=1)
    bench = Bench(whisper, Roofline(LARGE, "float32"), plan, None)
    bench.take(1, [Chunk(np.zeros((128, 100), np.float16), 100, "alpha", [1], "alpha")])
    (failure,) = bench.failures
    assert failure.startswith("batches of 2, 1 s")
    assert "out of memory" in failure
    assert next(whisper.model.calls) == 4


def test_widening_that_fails_leaves_no_model(tmp_path: Path) -> None:
    """What has a model's name is complete; git is told to leave the folder alone."""
    with pytest.raises(WideningFailed, match="ended with 1"):
        widened("tiny", tmp_path, python="false")
    assert [path.name for path in tmp_path.iterdir()] == [".gitignore"]
    (tmp_path / "callsign-tiny").mkdir()
    assert widened("tiny", tmp_path, python="false") == tmp_path / "callsign-tiny"


@pytest.mark.long
def test_engine_is_measured_from_end_to_end(tmp_path: Path) -> None:
    """Every stage has its figures, the words are right, and the JSON has all that they depend on."""
    out = tmp_path / "engine.json"
    options = ["--batches=2", "--lengths=30", "--workers=2", "--beams=1", "--rounds=1", "--encode-batches=0,1"]
    command = [sys.executable, "benchmarks/engine.py", *options, f"--json={out}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["machine"]["cores"] > 0
    assert {"packages", "date", "peaks", "loads", "keep_pool", "failures"} <= figures.keys()
    assert figures["dimensions"]["width"] == 128
    rows = figures["rows"]
    assert len(rows) == 5 + 2 * 2
    assert {row["stage"] for row in rows} == {stage.value for stage in Stage}
    assert all(row["seconds"] > 0 and row["rate"] > 0 and row["share"] > 0 for row in rows)
    searched = [row for row in rows if row["stage"] in {"decode", "whole", "separate"}]
    assert all((row["word_errors"], row["changed"]) == (0, 0) for row in searched)
    assert done.stdout.count("| separate") == 2
