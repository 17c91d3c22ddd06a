"""One decode worker seen from the service: a process of its own, and the socket to it."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from asr_api.audio.messages import (
    HEADER,
    MAX_MESSAGE,
    MAX_PAYLOAD,
    Accepted,
    Cancel,
    Done,
    Order,
    Ready,
    Refused,
    Reply,
    head,
)
from asr_api.errors import AsrError
from asr_api.frames import exactly_async
from asr_api.metrics.labels import WorkerRestart

REPLIES: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")])


Value = TypeVar("Value")

ROOM = 1 << 20
"""Bytes that a worker may have said before they are heard, where the system allows so many: a chunk's features are half
of it, and come at once then, instead of in turns of waiting and hearing.
"""

ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
"""One thread a worker: more cores are for more workers. It is all that a worker is told, and it forgets it."""


class WorkerLost(AsrError):
    """The worker is of no use any more; `reason` says why, `exit_code` how it ended if it did."""

    def __init__(self, reason: WorkerRestart, exit_code: int | None = None) -> None:
        super().__init__(f"the worker is lost: {reason}, exit code {exit_code}")
        self.reason = reason
        self.exit_code = exit_code

    @property
    def out_of_time(self) -> bool:
        return self.reason == "timeout" or self.exit_code == -signal.SIGXCPU

    @property
    def killed(self) -> bool:
        """Whether it was ended from outside, by somebody or by the kernel, and not by its file."""
        return self.exit_code == -signal.SIGKILL


class WorkerProcess:
    """Speaks with one worker; `retired` is set, with the reason, when it has to be replaced."""

    def __init__(self, process: asyncio.subprocess.Process, connection: socket.socket) -> None:
        self._process = process
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self.growth = self._memory = 0
        self.retired: asyncio.Future[WorkerRestart] = self._loop.create_future()
        self._watch = asyncio.create_task(self._watch_process(), name="decode-worker")

    @classmethod
    async def start(cls, command: Sequence[str], directory: Path, within: float) -> Self:
        """A worker that takes orders, with no environment of ours.

        Raises WorkerLost where it does not say that it is ready `within` so many seconds.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(ours.close)
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=theirs.fileno(), stdout=asyncio.subprocess.DEVNULL, env=ENVIRONMENT, cwd=directory,
                    start_new_session=True,
                )  # fmt: skip
            worker = cls(process, ours)
            on_failure.pop_all()
        try:
            worker._memory = (await worker._expect(Ready, within)).memory
        except BaseException:
            await worker.close()
            raise
        return worker

    async def _expect(self, kind: type[Value], within: float) -> Value:
        reply, _ = await self.receive(within)
        if not isinstance(reply, kind):
            raise WorkerLost("protocol")
        return reply

    async def order(self, order: Order, payload: bytes, descriptor: int | None, within: float) -> None:
        """Hand over a file. Raises WorkerLost where the worker was lost before it had a look at it.

        So is one that does not take it `within` so many seconds.
        """
        try:
            async with asyncio.timeout(within):
                await self._loop.sock_sendall(self._connection, head(order, len(payload)))
                await self._loop.sock_sendall(self._connection, payload)
            if descriptor is not None:
                socket.send_fds(self._connection, [b"F"], [descriptor])
        except TimeoutError as error:
            raise WorkerLost("timeout") from error
        except OSError as error:
            raise await self._ended() from error
        await self._expect(Accepted, within)

    def cancel(self) -> None:
        """Ask the worker to leave its file; one to whom that cannot be said at once is retired."""
        try:
            self._connection.send(head(Cancel()))
        except OSError:
            self.retire("protocol")

    async def receive(self, within: float) -> tuple[Reply, bytearray]:
        """The next that the worker says. Raises WorkerLost where it says nothing, or nonsense, or has ended."""
        try:
            async with asyncio.timeout(within):
                size, rest = HEADER.unpack(await exactly_async(self._connection, HEADER.size))
                if size > MAX_MESSAGE or rest > MAX_PAYLOAD:
                    raise WorkerLost("protocol")
                reply = REPLIES.validate_json(await exactly_async(self._connection, size), strict=True)
                payload = await exactly_async(self._connection, rest)
        except TimeoutError as error:
            raise WorkerLost("timeout") from error
        except ValidationError as error:
            raise WorkerLost("protocol") from error
        except OSError as error:
            raise await self._ended() from error
        if isinstance(reply, Done | Refused):
            self.growth = reply.memory - self._memory
        return reply, payload

    def retire(self, reason: WorkerRestart) -> None:
        """Mark it as one to be replaced; the first reason counts."""
        if not self.retired.done():
            self.retired.set_result(reason)

    async def close(self) -> None:
        """End the process at once, and return when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        try:
            await asyncio.shield(self._watch)
        except asyncio.CancelledError:
            await self._watch  # it ends by itself, now that the process was killed
            raise
        finally:
            self._connection.close()

    async def _watch_process(self) -> None:
        await self._process.wait()
        self.retire("signal")

    async def _ended(self) -> WorkerLost:
        """Why nothing more comes: the socket closes a moment before the exit code is known."""
        try:
            async with asyncio.timeout(1):
                return WorkerLost("signal", await self._process.wait())
        except TimeoutError:
            return WorkerLost("protocol")
