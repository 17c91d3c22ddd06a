"""The pool of confined decode workers, with workers that do what a file tells them to."""

import asyncio
import io
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pytest

from asr_api.audio.backlog import Backlog
from asr_api.audio.messages import Order
from asr_api.audio.pool import BACKOFF, LARGE, DecodePool, WorkerLimits, worker_command
from asr_api.errors import DecoderLost, InvalidAudio, Overloaded, StartupError
from asr_api.metrics import Metrics
from asr_api.spool import Spool
from asr_api.transcription import AudioOptions, FeatureChunk

pytestmark = pytest.mark.anyio

STRANGE = Path(__file__).with_name("strange_worker.py")
MEMORY = 256 << 20
ORDER = Order(options=AudioOptions(), n_mels=80, max_seconds=60, descriptor=False)


class Setting:
    """A pool with its metrics."""

    def __init__(self, directory: Path, size: int, patience: float, command: list[str] | None) -> None:
        self.metrics = Metrics("test")
        self.spool = Spool(directory, 1 << 30, self.metrics)
        words = command or [sys.executable, "-I", str(STRANGE), str(MEMORY), str(patience)]
        limits = WorkerLimits(patience, MEMORY)
        self.pool = DecodePool(words, directory, size=size, limits=limits, metrics=self.metrics)
        self._others = children()

    def rejections(self, reason: str) -> float | None:
        return self.metrics.registry.get_sample_value("asr_decode_rejections_total", {"reason": reason})

    def restarts(self, reason: str) -> float | None:
        return self.metrics.registry.get_sample_value("asr_decode_worker_restarts_total", {"reason": reason})

    def workers(self, state: str) -> float | None:
        return self.metrics.registry.get_sample_value("asr_decode_workers", {"state": state})

    @property
    def processes(self) -> list[int]:
        """The pool's workers that live."""
        return [pid for pid in children() if pid not in self._others]

    @asynccontextmanager
    async def file(self, act: str, upload: BinaryIO | None = None) -> AsyncIterator[AsyncIterator[FeatureChunk]]:
        backlog = Backlog(self.spool.file(0), 1 << 20)
        async with self.pool.prepare(upload or io.BytesIO(act.encode()), ORDER, backlog) as recording:
            yield aiter(recording)

    async def numbers(self, act: str, upload: BinaryIO | None = None) -> list[int]:
        """The numbers of the chunks of a file."""
        async with self.file(act, upload) as recording:
            return [number_of(chunk) async for chunk in recording]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.005)


def number_of(chunk: FeatureChunk) -> int:
    """The number that fills the features, which is also the chunk's place."""
    assert np.all(chunk.features == chunk.place.offset // 16_000)
    return int(chunk.place.offset // 16_000)


@asynccontextmanager
async def opened(
    tmp_path: Path, size: int = 1, patience: float = 30, command: list[str] | None = None
) -> AsyncIterator[Setting]:
    setting = Setting(tmp_path, size, patience, command)
    try:
        await setting.pool.open()
        yield setting
    finally:
        await setting.pool.close()


async def test_chunks_come_in_order(tmp_path: Path) -> None:
    """Whether a file is in memory or on disk; the same worker takes one after the other."""
    async with opened(tmp_path) as setting:
        assert await setting.numbers("chunks 5") == [0, 1, 2, 3, 4]
        with tempfile.TemporaryFile() as upload:
            upload.write(b"chunks 3")
            upload.flush()
            assert await setting.numbers("", upload) == [0, 1, 2]
        assert (setting.workers("idle"), setting.workers("busy")) == (1, 0)
        assert setting.restarts("signal") == 0


async def test_what_is_ahead_waits_on_disk(tmp_path: Path) -> None:
    """A worker is free again long before its chunks were taken, and nothing is lost on the way."""
    async with opened(tmp_path) as setting, setting.file("chunks 400") as recording:
        await setting.until(lambda: setting.workers("idle") == 1)
        assert await setting.numbers("chunks 1") == [0]
        assert [number_of(chunk) async for chunk in recording] == list(range(400))


async def test_a_bad_file(tmp_path: Path) -> None:
    """Its error comes at once, whatever of it was not taken yet, and its worker goes on."""
    async with opened(tmp_path) as setting:
        with pytest.raises(InvalidAudio, match="bad at its end"):
            await setting.numbers("refuse 0")
        async with setting.file("refuse 9") as recording:
            await setting.until(lambda: setting.rejections("corrupt") == 2)
            with pytest.raises(InvalidAudio, match="bad at its end"):
                await anext(recording)
        assert await setting.numbers("chunks 2") == [0, 1]
        assert setting.restarts("signal") == 0


async def test_a11_a_crash_harms_one_file(tmp_path: Path) -> None:
    """A11: the file that crashes its decoder is refused, others are not, and there is a new worker soon."""
    async with opened(tmp_path, size=2) as setting, setting.file("endless 0") as other:
        with pytest.raises(InvalidAudio, match="crashed") as refusal:
            await setting.numbers("crash 2")
        assert (refusal.value.code, refusal.value.param) == ("corrupt_audio", "file")
        assert (setting.rejections("crash"), setting.rejections("corrupt")) == (1, 0)
        await setting.until(lambda: setting.workers("idle") == 1)
        assert setting.restarts("signal") == 1
        assert number_of(await anext(other)) == 0
        assert await setting.numbers("chunks 2") == [0, 1]


async def test_a_file_whose_worker_was_killed_goes_to_another(tmp_path: Path) -> None:
    """A kill from outside is not the file's fault: where nothing of it is out yet, it is begun anew."""
    async with opened(tmp_path) as setting:
        (worker,) = setting.processes
        assert await setting.numbers(f"mortal {worker}") == [0, 1, 2]
        assert (setting.restarts("signal"), setting.rejections("crash")) == (1, 0)


@pytest.mark.parametrize(("act", "workers"), [("despair 0", 2), ("die 2", 1)])
async def test_a_file_whose_worker_was_killed_again_may_be_sent_again(tmp_path: Path, act: str, workers: int) -> None:
    """So may one of which something is out: that is never begun anew."""
    async with opened(tmp_path) as setting:
        with pytest.raises(DecoderLost) as refusal:
            await setting.numbers(act)
        assert (refusal.value.status, refusal.value.code, refusal.value.retry_after) == (503, "decoder_killed", 1)
        await setting.until(lambda: setting.restarts("signal") == workers)
        assert await setting.numbers("chunks 2") == [0, 1]


@pytest.mark.parametrize("act", ["hang 1", "spin 1"])
async def test_a12_a_file_that_takes_too_long(tmp_path: Path, act: str) -> None:
    """A12: a worker that is stopped, or spins, is killed; the file is refused with the limit."""
    async with opened(tmp_path, patience=1) as setting:
        with pytest.raises(InvalidAudio, match=r"within the 1 s .*decode_timeout") as refusal:
            await setting.numbers(act)
        assert refusal.value.code == "decode_timeout"
        assert setting.rejections("timeout") == 1
        assert await setting.numbers("chunks 2") == [0, 1]


async def test_a13_memory(tmp_path: Path) -> None:
    """A13: what a file may not have, it does not get; a worker that keeps much of it is replaced."""
    async with opened(tmp_path) as setting:
        with pytest.raises(InvalidAudio, match="too much memory"):
            await setting.numbers("eat 300")
        assert (setting.rejections("memory"), setting.restarts("memory")) == (1, 0)
        assert await setting.numbers("eat 160") == await setting.numbers("eat 160") == []
        assert setting.restarts("memory") == 0
        assert await setting.numbers("keep 160") == []
        await setting.until(lambda: setting.restarts("memory") == 1)
        assert await setting.numbers("chunks 2") == [0, 1]


@pytest.mark.parametrize("act", ["lie 100", "lie 0", "babble 8", "babble 100000"])
async def test_nonsense(tmp_path: Path, act: str) -> None:
    """A worker that says what cannot be is replaced; nothing that it says is believed."""
    async with opened(tmp_path) as setting:
        with pytest.raises(InvalidAudio, match="crashed"):
            await setting.numbers(act)
        await setting.until(lambda: setting.restarts("protocol") == 1)
        assert await setting.numbers("chunks 2") == [0, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's filters are Linux's")
async def test_a9_nothing_is_within_reach(tmp_path: Path) -> None:
    """A9: no socket, no file, no other program, no output, no environment, no folder."""
    async with opened(tmp_path) as setting:
        with pytest.raises(InvalidAudio) as refusal:
            await setting.numbers("reach_out 0")
        *ends, environment, folder = refusal.value.message.split()
        assert (environment, folder) == ("[]", "ENOENT")
        assert len(ends) == 6
        assert set(ends[:5]) <= {"EPERM", "EMFILE", "ENOENT"}
        assert os.listdir(tmp_path) == []


async def test_a_client_that_leaves(tmp_path: Path) -> None:
    """Its worker stops at once and takes the next file, without being replaced."""
    async with opened(tmp_path) as setting:
        for _ in range(3):
            async with setting.file("endless 0") as recording:
                assert number_of(await anext(recording)) == 0
        assert await setting.numbers("chunks 2") == [0, 1]
        assert [setting.restarts(reason) for reason in ("signal", "protocol", "timeout")] == [0, 0, 0]


async def test_a_client_that_leaves_while_it_waits(tmp_path: Path) -> None:
    """Nothing is left of a file whose turn never came."""
    async with opened(tmp_path) as setting:
        async with setting.file("endless 0"):
            waiting = asyncio.create_task(setting.numbers("chunks 1"))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert await setting.numbers("chunks 2") == [0, 1]


async def test_a_client_that_leaves_before_anything_began(tmp_path: Path) -> None:
    """The descriptor that its file would have been sent by is closed."""
    async with opened(tmp_path) as setting:
        with tempfile.TemporaryFile() as upload:
            before = len(os.listdir("/dev/fd"))
            entering = asyncio.create_task(setting.numbers("", upload))
            await asyncio.sleep(0)
            entering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await entering
            await setting.until(lambda: len(os.listdir("/dev/fd")) == before)
        assert await setting.numbers("chunks 2") == [0, 1]


async def test_a_bug_ends_the_recording(tmp_path: Path) -> None:
    """Whatever breaks on the way is raised to whoever waits, and the worker is there for others."""

    class Broken(Backlog):
        async def put(self, chunk: FeatureChunk) -> None:
            raise ZeroDivisionError

    async with opened(tmp_path) as setting:
        async with setting.pool.prepare(
            io.BytesIO(b"chunks 3"), ORDER, Broken(setting.spool.file(0), 1 << 20)
        ) as recording:
            with pytest.raises(ZeroDivisionError):
                await anext(aiter(recording))
        assert await setting.numbers("chunks 2") == [0, 1]


async def test_a_file_that_boasts(tmp_path: Path) -> None:
    """What a file says of its length counts for no more than a file may last: it would keep others out."""
    async with opened(tmp_path) as setting:
        backlog = Backlog(setting.spool.file(0), 1 << 20)
        async with setting.pool.prepare(io.BytesIO(b"boast 1"), ORDER, backlog) as recording:
            assert recording.claimed_seconds == ORDER.max_seconds


async def test_a_worker_that_hangs_idle(tmp_path: Path) -> None:
    """One that does not take a file, however large, is replaced, and the file is another's."""
    async with opened(tmp_path, patience=1) as setting:
        (child,) = setting.processes
        os.kill(child, signal.SIGSTOP)
        assert await setting.numbers("", io.BytesIO(b"chunks 2".ljust(2 << 20, b"\0"))) == [0, 1]
        assert setting.restarts("timeout") == 1


async def test_a_worker_that_dies_idle(tmp_path: Path) -> None:
    """It is replaced before a file meets it, or passed over."""
    async with opened(tmp_path) as setting:
        (child,) = setting.processes
        os.kill(child, 9)
        assert await setting.numbers("chunks 2") == [0, 1]
        assert setting.restarts("signal") == 1


async def test_large_files_leave_one_worker_to_others(tmp_path: Path) -> None:
    """Two files of over 64 MiB take one worker of two; a short clip need not wait for them."""
    async with opened(tmp_path, size=2) as setting:
        with large("endless 0") as one, large("chunks 1") as two:
            async with setting.file("", one):
                waiting = asyncio.create_task(setting.numbers("", two))
                assert await setting.numbers("chunks 2") == [0, 1]
                assert not waiting.done()
            assert await waiting == [0]


async def test_close_ends_everything(tmp_path: Path) -> None:
    """No process is left, and who still waits is told that the service goes."""
    async with opened(tmp_path, size=2) as setting:
        async with setting.file("endless 0") as recording:
            await setting.pool.close()
            with pytest.raises(Overloaded, match="shutting down"):
                async for _ in recording:
                    pass
        assert setting.processes == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_a_worker_has_one_thread(tmp_path: Path) -> None:
    """NumPy's own threads would double what a file costs, and spin while they wait."""
    async with opened(tmp_path, command=worker_command(WorkerLimits(30, MEMORY))) as setting:
        (child,) = setting.processes
        assert len(os.listdir(f"/proc/{child}/task")) == 1


async def test_workers_that_do_not_start(tmp_path: Path) -> None:
    """The service cannot start either, and says so."""
    with pytest.raises(StartupError, match="decode workers do not start"):
        async with opened(tmp_path, command=[sys.executable, "-c", "raise SystemExit(3)"]):
            pass
    assert BACKOFF[0] == 0


@contextmanager
def large(act: str) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as upload:
        upload.write(act.encode() + b" ")
        upload.truncate(LARGE)
        upload.flush()
        yield cast(BinaryIO, upload)


def children() -> list[int]:
    """The processes that this one has started and that live."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in text.split() if Path(f"/proc/{pid}/cmdline").read_bytes()]
