"""Where the engine lives: in threads of the service or in processes, which are used alike."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from asr_api.assembly import build_service
from asr_api.engine.messages import EnginePlan
from asr_api.engine.protocol import DecodingResult
from asr_api.engine.supervisor import SupervisionLimits
from asr_api.errors import AsrError, EngineFailure, EngineLost, ModelUnavailable, Overloaded, StartupError
from asr_api.hosting import EngineHost, LocalHost, ProcessHost, ProcessPlan, in_own_thread
from asr_api.metrics.labels import EngineRestart
from asr_api.models.resolve import ResolvedModel
from asr_api.selftest import Sample, SelfTest, sample_for
from asr_api.service import Service
from asr_api.settings import Settings
from asr_api.spectrogram import Features
from asr_api.trace import Trace
from asr_api.transcription import Transcription, TranscriptionOptions
from tests.engine.conftest import CALLSIGN, CLIPS
from tests.engine.processes import ROOM, children, descriptors, environ, plan, task
from tests.engine.strange_engine import COMMAND
from tests.fakes import FakeEngine

pytestmark = pytest.mark.anyio


class Watcher:
    """Hears how the engine is."""

    def __init__(self) -> None:
        self.ups: list[int] = []
        self.failed: list[AsrError] = []
        self.restarts: list[EngineRestart] = []

    def engine_changed(self, up: int) -> None:
        self.ups.append(up)

    def engine_failed(self, error: AsrError) -> None:
        self.failed.append(error)

    def restarted(self, reason: EngineRestart) -> None:
        self.restarts.append(reason)


def hear(_: Sample, n_mels: int) -> tuple[Features, float]:
    return np.ones((n_mels, 10), np.float16), 0.1


def found() -> ResolvedModel:
    return ResolvedModel("callsign", CALLSIGN, "bundled")


def process_host(
    watcher: Watcher,
    name: str = "fine",
    *,
    resolve: Callable[[], ResolvedModel] = found,
    devices: tuple[int, ...] = (0,),
    device: str = "cpu",
    hear: Callable[[Sample, int], tuple[Features, float]] = hear,
) -> ProcessHost:
    def planned(_: ResolvedModel) -> EnginePlan:
        return plan(name, device=device)

    return ProcessHost(
        ProcessPlan(
            resolve=resolve,
            plan=planned,
            self_test=SelfTest(sample_for("callsign"), hear),
            devices=devices,
            chunks=lambda _: ROOM,
            command=COMMAND,
            environ=environ(),
            limits=SupervisionLimits(hang_timeout=60),
        ),
        watcher,
    )


@asynccontextmanager
async def opened(host: EngineHost, watcher: Watcher) -> AsyncIterator[EngineHost]:
    await host.open(watcher)
    try:
        yield host
    finally:
        await host.close()


async def text(host: EngineHost, number: int = 1, act: str | None = None) -> str:
    (one,) = await host.decode([task(number, act)])
    assert isinstance(one, DecodingResult)
    return one.text


class TestProcesses:
    async def test_a_process_that_was_killed_is_replaced(self) -> None:
        """By one that has shown that it works; with nothing left behind of the first."""
        watcher = Watcher()
        async with opened(process_host(watcher), watcher) as host:
            assert await text(host) == "1 -1"
            (pid,) = children()
            before = descriptors()
            os.kill(pid, signal.SIGKILL)
            while not watcher.restarts:
                await asyncio.sleep(0)
            await host.ready()
            assert await text(host) == "1 -1"
            assert (descriptors(), watcher.ups, watcher.restarts) == (before, [1, 0, 1], ["crash"])
            assert len(children()) == 1
            assert pid not in children()
        assert children() == []

    async def test_what_was_loaded_is_told(self) -> None:
        """What it is, what it heard in its self-test, and how its vocabulary writes a text."""
        watcher = Watcher()
        host = process_host(watcher)
        loaded = await host.open(watcher)
        assert loaded.info.model == "fine"
        assert loaded.self_test == "1 -1"
        assert host.tokenize(" alpha") != ()
        await host.close()
        with pytest.raises(Overloaded) as refusal:
            await text(host)
        assert refusal.value.code == "draining"

    async def test_there_is_one_for_each_gpu(self) -> None:
        """Two calls at a time, and one while one of them is away."""
        watcher = Watcher()
        host = process_host(watcher, devices=(0, 1), device="cuda")
        async with opened(host, watcher):
            first, second = children()
            assert list(await asyncio.gather(text(host), text(host, 2))) == ["1 -1", "2 0"]
            os.kill(first, signal.SIGKILL)
            while 1 not in watcher.ups[1:]:
                await asyncio.sleep(0)
            assert await text(host) == "1 -1"
            assert second in children()
            while watcher.ups[-1] != 2:
                await asyncio.sleep(0.01)
            assert min(watcher.ups) == 1

    @pytest.mark.parametrize(("name", "error"), [("unloadable", ModelUnavailable), ("leave", StartupError)])
    async def test_a_first_start_that_fails_is_said(self, name: str, error: type[AsrError]) -> None:
        """In words for whoever started the service."""
        watcher = Watcher()
        host = process_host(watcher, name)
        with pytest.raises(error):
            await host.open(watcher)
        await host.close()
        assert (children(), watcher.ups) == ([], [])

    async def test_an_engine_that_hears_nothing_is_not_ready(self) -> None:
        """The self-test comes before anybody is told that it is up."""

        def hear_wrongly(_: Sample, n_mels: int) -> tuple[Features, float]:
            return np.ones((n_mels + 1, 10), np.float16), 0.1

        watcher = Watcher()
        host = process_host(watcher, hear=hear_wrongly)
        with pytest.raises(StartupError, match="does not take"):
            await host.open(watcher)
        await host.close()
        assert (children(), watcher.ups) == ([], [])

    async def test_closing_ends_a_load(self) -> None:
        """Though the process does not answer: it is killed, and whoever opened is not left waiting."""
        watcher = Watcher()
        host = process_host(watcher, "stop")
        opening = asyncio.create_task(host.open(watcher))
        while not children():
            await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            await host.close()
            await asyncio.wait({opening})
        assert children() == []

    async def test_closing_ends_a_search_for_the_model(self) -> None:
        """Which goes on in its thread by itself, and no process is started for what it finds."""
        watcher, gate = Watcher(), threading.Event()

        def search() -> ResolvedModel:
            gate.wait(30)
            return found()

        host = process_host(watcher, resolve=search)
        opening = asyncio.create_task(host.open(watcher))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await host.close()
            await asyncio.wait({opening})
        gate.set()
        for thread in threading.enumerate():
            if thread.name == "load":
                await asyncio.to_thread(thread.join, 5)
        assert (children(), opening.cancelled()) == ([], True)

    async def test_closing_ends_a_restart(self) -> None:
        """With the process that is being started."""
        watcher = Watcher()
        async with opened(process_host(watcher), watcher) as host:
            (first,) = children()
            waiting = asyncio.create_task(text(host, 1, "stop"))
            await asyncio.sleep(0)
            os.kill(first, signal.SIGKILL)
            while children() in ([first], []):
                await asyncio.sleep(0)
        with pytest.raises(EngineLost):
            await waiting
        assert children() == []


class TestThreads:
    async def test_it_is_used_in_the_same_way(self) -> None:
        """Ready once it is open; the engine is closed with it."""
        engine, watcher = FakeEngine(), Watcher()
        host = LocalHost(lambda: (engine, "alpha"))
        loaded = await host.open(watcher)
        await host.ready()
        assert (loaded.info, loaded.self_test, await text(host, 3)) == (engine.info, "alpha", " chunk 3")
        assert host.tokenize("two words") == (0, 1)
        await host.close()
        assert engine.closed

    @pytest.mark.parametrize(
        "ask", [lambda host: host.decode([task()]), lambda host: asyncio.to_thread(host.tokenize, "")]
    )
    async def test_before_it_is_open_there_is_nothing_to_ask(
        self, ask: Callable[[EngineHost], Awaitable[object]]
    ) -> None:
        """Of either kind."""
        for host in (LocalHost(lambda: (FakeEngine(), "")), process_host(Watcher())):
            with pytest.raises(EngineFailure, match="no engine"):
                await ask(host)
            await host.close()

    async def test_whatever_a_thread_raises_comes_back(self) -> None:
        """Nobody waits for ever for a thread that has ended."""

        def leave() -> None:
            raise SystemExit(3)

        with pytest.raises(RuntimeError, match="SystemExit"):
            await in_own_thread(leave)


CLIP = (CLIPS / "en-01.flac").read_bytes()


async def transcript(service: Service, clip: bytes) -> Transcription:
    options = TranscriptionOptions(timestamps=True, logprobs=True)
    with service.admitted():
        return await service.transcribe(BytesIO(clip), options, Trace("id"))


async def test_both_kinds_transcribe_alike(tmp_path: Path) -> None:
    """The whole service on the bundled model: the same words, at the same times, and a state that says it is ready."""
    heard = []
    for apart in (True, False):
        settings = Settings(model="callsign", engine_process=apart, spool_dir=tmp_path, decode_workers=1, cpu_threads=1)
        service = build_service(settings)
        await service.open()
        try:
            heard.append(await transcript(service, CLIP))
            assert service.state == "ready"
        finally:
            await service.close()
    assert heard[0] == heard[1]
    assert heard[0].text
