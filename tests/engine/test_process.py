"""One engine process: what it answers, how it is lost, and that nothing of it stays behind."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.engine.messages import PLAN, Call
from asr_api.engine.process import EngineProcess, EngineStuck
from asr_api.engine.protocol import DecodingResult, DecodingTask
from asr_api.engine.whisper import WhisperEngine
from asr_api.errors import EngineFailure, EngineLost, EngineOutOfMemory, ModelUnavailable
from asr_api.frames import framed
from asr_api.hosting import engine_command
from tests.engine.conftest import CALLSIGN, MakeTask
from tests.engine.fake_child import FakeChild, FakeProcess, Reply, about, beside, loaded, right
from tests.engine.processes import (
    ROOM,
    WITHIN,
    arenas,
    children,
    descriptors,
    environ,
    gone,
    plan,
    running,
    started,
    task,
)

pytestmark = pytest.mark.anyio


def texts(results: Sequence[DecodingResult | Exception]) -> list[str]:
    return [one.text if isinstance(one, DecodingResult) else repr(one) for one in results]


class TestCalls:
    async def test_each_task_has_its_answer(self) -> None:
        """In order, from features that lie where they were put, whatever was in the call before."""
        async with running() as process:
            assert process.info.model == "fine"
            assert texts(await process.decode([task(n) for n in range(ROOM)], WITHIN)) == [
                "0 -1.5",
                "1 -1",
                "2 0",
                "3 1",
            ]
            (one,) = await process.decode([task(9)], WITHIN)
            assert isinstance(one, DecodingResult)
            assert (one.text, one.avg_logprob) == ("9 7", float("-inf"))

    async def test_two_lanes_are_two_calls_at_a_time(self) -> None:
        """Each with its own answer; a lane is free again when its call has ended."""
        async with running(workers=2) as process:
            os.kill(process.pid, signal.SIGSTOP)
            calls = [process.decode([task(n)], WITHIN) for n in (1, 2)]
            await asyncio.sleep(0)
            assert process.free == 0
            os.kill(process.pid, signal.SIGCONT)
            assert [texts(results) for results in await asyncio.gather(*calls)] == [["1 -1"], ["2 0"]]
            assert process.free == 2

    async def test_failures_are_calls_that_failed_and_no_more(self) -> None:
        """The process lives on; whoever asks hears nothing of what only the log should tell."""
        async with running() as process:
            with pytest.raises(EngineOutOfMemory, match="no memory"):
                await process.decode([task(0, "memory")], WITHIN)
            with pytest.raises(EngineFailure, match=r"^the engine failed on this audio$"):
                await process.decode([task(0, "fail")], WITHIN)
            with pytest.raises(EngineFailure, match=r"^the engine failed on this audio$"):
                await process.decode([task(0, "surrogate")], WITHIN)
            refused, read = await process.decode([task(0, "refuse"), task(1)], WITHIN)
            assert (str(refused), texts([read])) == ("the engine failed on this audio", ["1 -1"])
            assert len(await process.decode([task(0, "few"), task(1)], WITHIN)) == 1
            assert not process.lost.done()

    @pytest.mark.parametrize(
        "tasks", [[task()] * (ROOM + 1), [task(n_mels=7)], [task(frames=3001)]], ids=["many", "bands", "long"]
    )
    async def test_what_no_engine_takes_is_not_sent(self, tasks: list[DecodingTask]) -> None:
        """It is that call's failure: the process is as good as before."""
        async with loaded(FakeChild()) as process:
            with pytest.raises(EngineFailure, match="does not take") as refusal:
                await process.decode(tasks, WITHIN)
            assert not isinstance(refusal.value, EngineLost)
            assert texts(await process.decode([task(n_mels=80)], WITHIN)) == ["1"]


class TestLosses:
    @pytest.mark.parametrize(("act", "cause", "code"), [("crash", "crash", -11), ("leave", "crash", 3)])
    async def test_a_process_that_dies_takes_its_calls_with_it(self, act: str, cause: str, code: int) -> None:
        """Both lanes hear of it; nothing is free any more; the exit code is told."""
        async with running(workers=2) as process:
            os.kill(process.pid, signal.SIGSTOP)
            calls = [process.decode([task(0, one)], WITHIN) for one in (act, "wait")]
            await asyncio.sleep(0)
            os.kill(process.pid, signal.SIGCONT)
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert isinstance(errors[0], EngineLost)
            assert (errors[0].cause, errors[0].code, errors[0].status) == (cause, "engine_crashed", 500)
            assert (await process.lost, process.free, await process.close()) == (cause, 0, code)

    async def test_a_fatal_failure_is_the_gpus(self) -> None:
        """Said in the answer and by the exit code, so that every call that it ends hears the same."""
        async with running(workers=2) as process:
            os.kill(process.pid, signal.SIGSTOP)
            calls = [process.decode([task(0, one)], WITHIN) for one in ("fatal", "wait")]
            await asyncio.sleep(0)
            os.kill(process.pid, signal.SIGCONT)
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert [getattr(error, "cause", None) for error in errors] == ["cuda", "cuda"]

    async def test_death_between_calls_is_seen(self) -> None:
        """Without anybody asking."""
        async with running() as process:
            os.kill(process.pid, signal.SIGKILL)
            assert await process.lost == "crash"
            assert await process.close() == -signal.SIGKILL

    async def test_a_call_that_hangs_ends_the_process(self) -> None:
        """Even one that is stopped, and its other call with it."""
        async with running(workers=2) as process:
            os.kill(process.pid, signal.SIGSTOP)
            calls = [process.decode([task()], within) for within in (0.01, WITHIN)]
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert [getattr(error, "cause", None) for error in errors] == ["hang", "hang"]
            assert await process.close() == -signal.SIGKILL

    async def test_a_lane_that_cannot_answer_ends_the_process(self) -> None:
        """A call is never left to its time limit where it is known that there will be no answer."""
        async with running() as process:
            with pytest.raises(EngineLost) as loss:
                await process.decode([task(0, "quit")], WITHIN)
            assert loss.value.cause == "crash"
            assert await process.close() == 1

    async def test_a_call_that_is_cancelled_ends_the_process(self) -> None:
        """Its answer would be taken for the next one's."""
        async with loaded(FakeChild(lambda _: b"")) as process:
            call = process.decode([task(n_mels=80)], WITHIN)
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait({call})
            assert call.cancelled()
            assert await process.lost == "manual"

    async def test_it_ends_though_nobody_waits_for_that(self) -> None:
        """Who gave up to wait for its loss has not lost it."""
        async with running() as process:
            process.lost.cancel()
            assert await process.close() == -signal.SIGKILL

    async def test_a_call_that_never_began_gives_its_lane_back(self) -> None:
        """Cancelled before its first step: nothing was said to the process."""
        async with loaded(FakeChild()) as process:
            call = process.decode([task(n_mels=80)], WITHIN)
            call.cancel()
            await asyncio.wait({call})
            assert (process.free, process.lost.done()) == (1, False)

    async def test_a_process_that_cannot_be_killed_is_not_waited_for(self) -> None:
        """One that hangs in a driver: its call ends, `close` says what is wrong, and nothing stays open here."""
        child = FakeChild(lambda _: b"")
        child.process = FakeProcess(mortal=False)
        before = descriptors()
        async with loaded(child, ending=0.01) as process:
            with pytest.raises(EngineLost) as loss:
                await process.decode([task(n_mels=80)], within=0.01)
            assert loss.value.cause == "hang"
            with pytest.raises(EngineStuck, match="4242"):
                await process.close()
            child.process.end(-9)
            assert await process.close() == -9
        assert descriptors() == before


def nonsense(call: Call, chance: random.Random) -> bytes:
    """An answer that something happened to."""
    good = bytearray(right(call))
    for _ in range(chance.randint(1, 8)):
        good[chance.randrange(len(good))] = chance.randrange(256)
    return bytes(good[: chance.choice([len(good), chance.randrange(len(good))])])


class TestNonsense:
    """What comes over the socket is checked before it is believed."""

    @pytest.mark.parametrize(
        "reply",
        [
            lambda _: b"\xff\xff\xff\xffx",
            lambda _: framed(b""),
            lambda _: framed(b"\xff\xfe{"),
            lambda _: framed(b"[" * 100_000),
            lambda _: framed(b"[]"),
            lambda _: framed(b"[null]"),
            lambda call: about(call, results="none"),
            lambda call: about(call, results=[{"text": 1}]),
            lambda call: about(call, number=call.number + 1),
            lambda call: about(call, number=call.number - 1),
            lambda call: about(call, number="one"),
        ],
    )
    async def test_what_is_no_answer_ends_the_process(self, reply: Reply) -> None:
        """At once, whatever time the call has."""
        async with loaded(FakeChild(reply)) as process:
            with pytest.raises(EngineLost) as loss:
                await process.decode([task(n_mels=80)], WITHIN)
            assert (loss.value.cause, process.free) == ("crash", 0)

    async def test_a_second_answer_is_nobodys(self) -> None:
        """One too many to a call is not taken for that of the next."""
        async with loaded(FakeChild(lambda call: right(call) * 2)) as process:
            assert texts(await process.decode([task(n_mels=80)], WITHIN)) == ["1"]
            with pytest.raises(EngineLost):
                await process.decode([task(n_mels=80)], WITHIN)

    async def test_an_answer_cut_off_ends_the_process(self) -> None:
        """Though the process itself would live on."""
        child = FakeChild(lambda call: right(call)[:-1], hang_up=True)
        async with loaded(child) as process:
            call = process.decode([task(n_mels=80)], WITHIN)
            while not call.done():
                await asyncio.sleep(0.01)
            with pytest.raises(EngineLost):
                await call
            assert child.process.killed == 1

    @settings(max_examples=100, deadline=None)
    @given(seed=st.integers(0, 2**32))
    def test_no_nonsense_does_worse_than_that(self, seed: int) -> None:
        """Whatever bytes come: an answer to this very call, or a process that is ended."""
        chance = random.Random(seed)

        async def one() -> None:
            child = FakeChild(lambda call: nonsense(call, chance), end=True)
            async with loaded(child) as process:
                try:
                    results = await process.decode([task(n_mels=80)], WITHIN)
                except EngineLost:
                    assert process.lost.done()
                except EngineFailure:
                    assert process.free == 1
                else:
                    assert all(isinstance(one, DecodingResult | EngineFailure) for one in results)

        asyncio.run(one())

    @pytest.mark.parametrize(
        "words",
        [
            b"",
            b"\xff\xff\xff\xff",
            framed(b"{}"),
            framed(b'{"kind": "loaded", "info": 1}'),
            framed(right(Call(1, task().options, ()))),
            *(
                framed(
                    json.dumps(
                        {
                            "kind": "loaded",
                            "info": {
                                "model": "m",
                                "device": "cpu",
                                "compute_type": "",
                                "num_workers": workers,
                                "n_mels": n_mels,
                                "languages": [],
                            },
                        }
                    ).encode()
                )
                for workers, n_mels in [(0, 80), (-1, 80), (10**9, 80), (1, 0), (1, 10**12)]
            ),
        ],
    )
    async def test_who_cannot_say_what_was_loaded_is_not_used(self, words: bytes) -> None:
        """Raises what `start` makes an EngineLost of, and leaves no lane open."""
        child = FakeChild(loaded=words)
        before = descriptors()
        async with beside(child) as process:
            loading = asyncio.create_task(process.load(plan(), lambda _: ROOM))
            if not words:
                await asyncio.sleep(0)
                process.kill("crash")
            with pytest.raises((OSError, ValueError)):
                await loading
            await process.close()
        assert descriptors() == before


class TestStarting:
    async def test_a_model_that_cannot_be_loaded_is_said(self) -> None:
        """In the loader's own words; the process is gone."""
        with pytest.raises(ModelUnavailable, match="no such model"):
            await started("unloadable")
        assert children() == []

    @pytest.mark.parametrize(("act", "code"), [("leave", 3), ("crash", -11)])
    async def test_dying_while_it_loads_is_a_loss(self, act: str, code: int) -> None:
        """That tells the exit code."""
        with pytest.raises(EngineLost, match=f"ended with {code} while it loaded {act}"):
            await started(act)
        assert children() == []

    async def test_a_program_that_cannot_be_started_is_a_loss(self) -> None:
        """As where the machine has no room for one more process."""
        before = descriptors()
        with pytest.raises(EngineLost, match="cannot be started"):
            await EngineProcess.start(["/does/not/exist"], plan(), {}, lambda _: ROOM)
        assert descriptors() == before

    async def test_a_start_that_is_cancelled_leaves_nothing(self) -> None:
        """Whenever that is: as the program is started, or while the model is loaded by one that is stopped."""
        before = descriptors()
        for turns in (1, 3, 10):
            start = asyncio.create_task(started("stop"))
            for _ in range(turns):
                await asyncio.sleep(0)
            start.cancel()
            async with asyncio.timeout(5):
                await asyncio.wait({start})
            assert start.cancelled()
        start = asyncio.create_task(started("stop"))
        while not any(state_of(pid) == "T" for pid in children()):
            await asyncio.sleep(0.01)
        start.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait({start})
        assert (start.cancelled(), children(), descriptors()) == (True, [], before)

    async def test_it_inherits_what_it_needs(self) -> None:
        """A socket, a way to complain, what its calls need, and the environment that it was given."""
        async with running() as process:
            (one,) = await process.decode([task(0, "possessions")], WITHIN)
        assert isinstance(one, DecodingResult)
        had = json.loads(one.text)
        control, output, _, *lane = (name.split(":")[0] for name in had["files"])
        assert (control, output) == ("socket", "/dev/null")
        assert sorted(lane) == ["/memfd", "/memfd", "socket"]  # the map has a descriptor of its own
        assert set(environ()) <= set(had["environment"]) <= {*environ(), "LC_CTYPE"}
        assert had["session"]

    async def test_signals_to_all_are_not_its_own(self) -> None:
        """Ctrl-C and a service manager's SIGTERM are for the service, which drains with this process's help."""
        async with running() as process:
            os.kill(process.pid, signal.SIGTERM)
            os.kill(process.pid, signal.SIGINT)
            assert texts(await process.decode([task(1)], WITHIN)) == ["1 -1"]


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


class TestLeavingNothing:
    async def test_after_many_processes_there_is_nothing_left(self) -> None:
        """No descriptor, no arena, no zombie, however each of them ended."""
        async with running() as process:
            await process.decode([task()], WITHIN)
        before = descriptors()
        for act in ("crash", "fatal", "quit", None, "stop"):
            async with running(workers=2) as process:
                calls = [process.decode([task(0, act)], 0.2 if act == "stop" else WITHIN) for _ in range(2)]
                await asyncio.gather(*calls, return_exceptions=True)
        del process, calls
        assert (descriptors(), arenas(), children()) == (before, 0, [])

    @pytest.mark.parametrize("name", ["fine", "stop"])
    async def test_it_does_not_outlive_the_service(self, name: str) -> None:
        """Killed without a word, while the model is loaded or a call runs: gone within two seconds."""
        program = (
            "import asyncio, os, sys\n"
            "from tests.engine.processes import *\n"
            "async def main():\n"
            "    start = asyncio.create_task(started(sys.argv[1]))\n"
            "    while not children(): await asyncio.sleep(0.01)\n"
            "    print(children()[0], flush=True)\n"
            "    call = (await start).decode([task(0, 'stop')], 600)\n"
            "    await call\n"
            "asyncio.run(main())\n"
        )
        service = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, name, stdout=subprocess.PIPE, env=dict(environ())
        )
        assert service.stdout is not None
        child = int(await service.stdout.readline())
        while state_of(child) != "T":
            await asyncio.sleep(0.01)
        service.kill()
        await service.wait()
        assert await gone(child)

    async def test_it_ends_with_its_socket(self) -> None:
        """Where the kernel does not tell it that its parent has died."""
        ours, theirs = socket.socketpair()
        with theirs:
            program = "from asr_api.engine.child import main; import time; main(lambda plan: time.sleep(600))"
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=theirs.fileno())
        with ours:
            ours.sendall(framed(PLAN.dump_json(plan())))
        async with asyncio.timeout(10):
            assert await process.wait() == 0


class TestWhisper:
    async def test_results_are_those_of_an_engine_in_this_process(self, task_of: MakeTask) -> None:
        """To the last digit: words, their times, probabilities; in a new process as in the one before."""
        here = WhisperEngine(
            CALLSIGN, name="callsign", device="cpu", compute_type="float32", num_workers=1, cpu_threads=1
        )
        clips = ["en-01.flac", "de-01.flac", "en-02.flac"]
        tasks = [task_of(name, timestamps=True) for name in clips]
        expected = here.decode(tasks)
        what = replace(plan("callsign"), folder=str(CALLSIGN), compute_type="float32")
        for _ in range(2):
            process = await EngineProcess.start(
                engine_command("json"), what, {"PATH": os.environ["PATH"]}, lambda _: ROOM
            )
            try:
                assert process.info == here.info
                assert list(await process.decode(tasks, WITHIN)) == list(expected)
            finally:
                await process.close()
