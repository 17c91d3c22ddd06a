"""The decode workers: kept running, lent to one file at a time, replaced when they are of no use any more.

Process pools of the standard library and of others (pebble, loky, anyio) give one value a call,
and unpickle it. Here a file's chunks come while it is still being decoded, its descriptor goes
along, and nothing that a worker says is unpickled; so the pool is our own, on asyncio's processes.
"""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from io import UnsupportedOperation
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Self

from asr_api.audio.backlog import Backlog
from asr_api.audio.messages import Order
from asr_api.audio.process import WorkerLost, WorkerProcess
from asr_api.audio.recording import Recording
from asr_api.errors import AsrError, DecoderLost, Draining, InvalidAudio, StartupError
from asr_api.metrics import Metrics
from asr_api.metrics.labels import Rejection, WorkerRestart, WorkerState

logger = logging.getLogger(__name__)

START_TIMEOUT = 60.0
"""Seconds that a worker may take to import what it needs: one does on a fast machine."""

ACCEPT_TIMEOUT = 10.0
"""Seconds in which an idle worker takes an order, at most."""

BACKOFF = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before a worker is started again, by how many starts in a row have failed."""

RETRY_AFTER = 1.0
"""Seconds after which a file whose worker was killed may be sent again."""

LARGE = 64 << 20
"""Bytes from which a file counts as a long one, for which the last worker is never used."""

GROWTH = 0.5
"""Share of the memory that one file may take, which a worker may still hold after it."""

REJECTIONS: MappingProxyType[str, Rejection] = MappingProxyType(
    {
        "audio_too_long": "too_long",
        "audio_too_short": "too_short",
        "empty_audio": "empty",
        "no_audio_stream": "empty",
        "unsupported_format": "format",
        "unsupported_codec": "codec",
        "unsupported_sample_rate": "rate",
        "unsupported_channels": "channels",
        "audio_too_complex": "memory",
        "decode_timeout": "timeout",
    }
)
"""What the metrics call the codes; every other is `corrupt`."""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """`timeout` seconds, of the clock and of CPU, from one sign of life to the next; memory in bytes a file."""

    timeout: float
    memory: int


def worker_command(limits: WorkerLimits) -> list[str]:
    """How a worker is started: this Python, without the user's environment and site folder."""
    return [sys.executable, "-I", "-m", "asr_api.audio.worker", str(limits.memory), str(limits.timeout)]


class DecodePool:
    """A fixed number of workers. `open` before use; all from tasks of one loop."""

    def __init__(
        self, command: Sequence[str], directory: Path, *, size: int, limits: WorkerLimits, metrics: Metrics
    ) -> None:
        """`command` starts a worker in `directory`, which it leaves for one that does not exist any more."""
        self._command = command
        self._directory = directory
        self._size = size
        self._limits = limits
        self._metrics = metrics
        self._idle: asyncio.Queue[WorkerProcess] = asyncio.LifoQueue()
        self._for_large = asyncio.Semaphore(max(1, size - 1))
        self._keepers: list[asyncio.Task[None]] = []
        self._errands: set[asyncio.Task[None]] = set()
        self._alive = self._busy = 0
        metrics.front_end.watch_workers(self.count)

    def count(self, state: WorkerState) -> int:
        """How many workers are at work, have nothing to do, or are being started."""
        match state:
            case "busy":
                return self._busy
            case "idle":
                return max(0, self._alive - self._busy)
            case "starting":
                return self._size - self._alive

    async def open(self) -> None:
        """Start all workers, and return when one is ready. Raises StartupError where that fails."""
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keepers = [asyncio.create_task(self._keep(first), name=f"decode-{n}") for n in range(self._size)]
        try:
            await first
        except WorkerLost as error:
            raise StartupError(f"the decode workers do not start: {error.message}") from error

    async def close(self) -> None:
        """End all workers, whatever they are at."""
        tasks = [*self._errands, *self._keepers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def prepare(self, upload: BinaryIO, order: Order, backlog: Backlog) -> AsyncIterator[Recording]:
        """The recording of a file, as soon as the file is known to be audio; its worker goes on meanwhile.

        Raises InvalidAudio, on entering or while the recording is iterated over. On leaving, what
        is not done is given up and the backlog closed; the upload may be closed then.
        """
        errand = _Errand(_Contents.of(upload), order, Recording(backlog, order.max_seconds), self._limits)
        task = asyncio.create_task(self._run(errand), name="decode")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        task.add_done_callback(lambda _: errand.contents.close())  # also where it is cancelled before it began
        try:
            await errand.recording.opened
            yield errand.recording
        finally:
            errand.leave(task)
            await backlog.close()

    async def _run(self, errand: "_Errand") -> None:
        try:
            async with self._for_large if errand.contents.size >= LARGE else nullcontext():
                while not await self._visit(await self._borrow(), errand):
                    pass
        except WorkerLost as error:
            await errand.recording.end(self._judge(error))
            self._metrics.front_end.decode_rejected("timeout" if error.out_of_time else "crash")
        except asyncio.CancelledError:
            await errand.recording.end(still_closing())
            raise
        except Exception as error:  # a bug must not leave a request waiting
            logger.exception("a file's way through its worker broke off")
            await errand.recording.end(error)

    async def _visit(self, worker: WorkerProcess, errand: "_Errand") -> bool:
        """False where the worker was lost before it said anything of the file, which another may have then."""
        self._busy += 1
        try:
            if await errand.hand_over(worker) and await errand.hear_out(worker):
                self._account(errand.recording)
                return True
            return False
        finally:
            self._busy -= 1
            self._take_back(worker)

    async def _borrow(self) -> WorkerProcess:
        while True:
            worker = await self._idle.get()
            if not worker.retired.done():
                return worker

    def _take_back(self, worker: WorkerProcess) -> None:
        if worker.growth > GROWTH * self._limits.memory:
            worker.retire("memory")
        if not worker.retired.done():
            self._idle.put_nowait(worker)

    async def _keep(self, first: asyncio.Future[None]) -> None:
        """Have one worker running, always."""
        failures = 0
        while True:
            await asyncio.sleep(BACKOFF[min(failures, len(BACKOFF) - 1)])
            try:
                worker = await WorkerProcess.start(self._command, self._directory, START_TIMEOUT)
            except WorkerLost as error:
                failures += 1
                logger.exception("a decode worker did not start")
                if not first.done():
                    first.set_exception(error)
                continue
            failures = 0
            if not first.done():
                first.set_result(None)
            self._metrics.front_end.worker_replaced(await self._watch(worker))

    async def _watch(self, worker: WorkerProcess) -> WorkerRestart:
        """Lend a worker until it is retired; returns why it was, when it has ended."""
        self._alive += 1
        self._idle.put_nowait(worker)
        try:
            return await worker.retired
        finally:
            self._alive -= 1
            await worker.close()

    def _account(self, recording: Recording) -> None:
        if isinstance(recording.error, InvalidAudio):
            self._metrics.front_end.decode_rejected(REJECTIONS.get(recording.error.code, "corrupt"))

    def _judge(self, lost: WorkerLost) -> AsrError:
        """What the client of a file hears whose worker was lost."""
        logger.warning("a decode worker was lost", extra={"reason": lost.reason, "exit_code": lost.exit_code})
        if lost.out_of_time:
            fact = f"The file cannot be decoded within the {self._limits.timeout:g} s allowed (decode_timeout)."
            return InvalidAudio(fact, code="decode_timeout", param="file")
        if lost.killed:
            return DecoderLost("the process that decoded the file was killed", retry_after=RETRY_AFTER)
        return InvalidAudio("The decoder crashed on the file.", code="corrupt_audio", param="file")


class _Errand:
    """One file's visit to a worker, which its client may end at any time."""

    def __init__(self, contents: "_Contents", order: Order, recording: Recording, limits: WorkerLimits) -> None:
        self.contents = contents
        self.recording = recording
        self._order = order
        self._limits = limits
        self._worker: WorkerProcess | None = None
        self._ordered = self._left = self._tried = False

    async def hand_over(self, worker: WorkerProcess) -> bool:
        """False where the worker was lost before it knew of the file."""
        self._worker = worker
        descriptor = self.contents.descriptor
        order = replace(self._order, descriptor=descriptor is not None)
        with _retiring(worker):
            try:
                await worker.order(order, self.contents.payload, descriptor, min(ACCEPT_TIMEOUT, self._limits.timeout))
            except WorkerLost as error:
                worker.retire(error.reason)
                return False
        self._ordered = True
        if self._left:
            worker.cancel()
        return True

    async def hear_out(self, worker: WorkerProcess) -> bool:
        """False where another should have the file: this one was killed before it said anything, for the first time.

        Raises WorkerLost, after which the worker is retired.
        """
        with _retiring(worker):
            try:
                await self.recording.listen(worker, self._order.n_mels, self._limits.timeout)
            except WorkerLost as error:
                if not error.killed or self._tried or self.recording.opened.done():
                    raise
                worker.retire(error.reason)
                self._tried = True
                return False
        return True

    def leave(self, task: asyncio.Task[None]) -> None:
        """The client is gone, or has all that it wanted."""
        self._left = True
        if self._worker is None:
            task.cancel()
        elif self._ordered and not self.recording.ended:
            self._worker.cancel()


@contextmanager
def _retiring(worker: WorkerProcess) -> Iterator[None]:
    """Retire a worker in the middle of whose sentence we leave."""
    try:
        yield
    except WorkerLost as error:
        worker.retire(error.reason)
        raise
    except BaseException:
        worker.retire("protocol")
        raise


@dataclass(frozen=True, slots=True)
class _Contents:
    """A file as it is handed to a worker: its bytes, or a descriptor of its own."""

    payload: bytes
    descriptor: int | None
    size: int

    @classmethod
    def of(cls, upload: BinaryIO) -> Self:
        try:
            descriptor = os.dup(upload.fileno())
        except UnsupportedOperation:
            upload.seek(0)
            payload = upload.read()
            return cls(payload, None, len(payload))
        return cls(b"", descriptor, os.fstat(descriptor).st_size)

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)


def still_closing() -> Draining:
    return Draining("the service is shutting down")
