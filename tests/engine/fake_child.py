"""The other end of an EngineProcess in this process, which says on its sockets whatever a test wants."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import cast

from asr_api.engine.messages import ANSWER, CALL, MAX_MESSAGE, STARTED, Answer, Call, Loaded
from asr_api.engine.process import EngineProcess, EngineStuck
from asr_api.frames import FrameSocket, framed
from tests.engine.processes import ROOM, plan
from tests.fakes import INFO, result

Reply = Callable[[Call], bytes]
"""What comes back for a call, as bytes."""


def right(call: Call) -> bytes:
    """The answer that was wanted."""
    answer = Answer(call.number, tuple(result(f"{task.duration:g}") for task in call.tasks))
    return framed(ANSWER.dump_json((answer,)))


def about(call: Call, **changes: object) -> bytes:
    """The answer that was wanted, but for some of its fields."""
    (fields,) = json.loads(right(call)[4:])
    return framed(json.dumps([fields | changes]).encode())


class FakeProcess:
    """What asyncio tells of a process, as far as it is asked; one that is not `mortal` survives being killed."""

    pid = 4242

    def __init__(self, mortal: bool = True) -> None:
        self.mortal = mortal
        self.killed = 0
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def kill(self) -> None:
        if self._code.done():
            raise ProcessLookupError
        self.killed += 1
        if self.mortal:
            self.end(-9)

    def end(self, code: int) -> None:
        self._code.set_result(code)

    async def wait(self) -> int:
        return await asyncio.shield(self._code)


class FakeChild:
    """Loads, and answers each call of its only lane by `reply`, after which it may `hang_up`, or `end` as well."""

    def __init__(
        self, reply: Reply = right, *, loaded: bytes | None = None, hang_up: bool = False, end: bool = False
    ) -> None:
        self.reply = reply
        self.hang_up = hang_up or end
        self.end = end
        self.loaded = framed(STARTED.dump_json(Loaded(INFO))) if loaded is None else loaded
        self.process = FakeProcess()

    async def serve(self, control: socket.socket) -> None:
        frames, loop = FrameSocket(control, MAX_MESSAGE), asyncio.get_running_loop()
        await frames.receive()
        await loop.sock_sendall(control, self.loaded)
        await frames.receive()
        _, (lane, memory), _, _ = await asyncio.to_thread(_descriptors, control)
        os.close(memory)
        with socket.socket(fileno=lane) as connection:
            calls = FrameSocket(connection, MAX_MESSAGE)
            while True:
                call = CALL.validate_json(await calls.receive())
                await loop.sock_sendall(connection, self.reply(call))
                if self.hang_up:
                    connection.shutdown(socket.SHUT_RDWR)
                if self.end:
                    self.process.end(1)


def _descriptors(control: socket.socket) -> tuple[bytes, list[int], int, object]:
    control.setblocking(True)
    return socket.recv_fds(control, 1, 2)


@asynccontextmanager
async def beside(child: FakeChild, ending: float = 5.0) -> AsyncIterator[EngineProcess]:
    """The process whose other end is the child; to be loaded."""
    with ExitStack() as stack:
        ours, theirs = socket.socketpair()
        stack.enter_context(theirs)
        stack.enter_context(ours)
        process = EngineProcess(
            cast(asyncio.subprocess.Process, child.process), FrameSocket(ours, MAX_MESSAGE), ending=ending
        )
        serving = asyncio.create_task(child.serve(theirs))
        try:
            yield process
        finally:
            with suppress(EngineStuck):
                await process.close()
            await asyncio.gather(serving, return_exceptions=True)


@asynccontextmanager
async def loaded(child: FakeChild, ending: float = 5.0) -> AsyncIterator[EngineProcess]:
    async with beside(child, ending) as process:
        await process.load(plan(), lambda _: ROOM)
        yield process
