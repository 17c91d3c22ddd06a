"""One engine process seen from the service: its lanes, each with a socket, an arena and one call at a time."""

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from asr_api.engine.arena import Arena, ArenaShape
from asr_api.engine.messages import (
    ANSWER,
    CALL,
    FATAL_EXIT_CODE,
    LANES,
    MAX_MESSAGE,
    PLAN,
    STARTED,
    Answer,
    Call,
    EnginePlan,
    Failed,
    Lanes,
    Unloadable,
)
from asr_api.engine.protocol import DecodingResult, DecodingTask, EngineInfo
from asr_api.errors import EngineFailure, EngineLost, ModelUnavailable
from asr_api.frames import FrameError, FrameSocket
from asr_api.metrics.labels import EngineRestart

logger = logging.getLogger(__name__)

ENDING = 5.0
"""Seconds that a process may take to end once it was killed: one that hangs in a driver never does."""

PARTING = 1.0
"""Seconds that may pass between the end of a process's sockets and its own."""

MOST_WORKERS, MOST_MELS = 64, 1024
"""More than any engine says of itself."""

Results = Sequence[DecodingResult | Exception]


class EngineStuck(EngineFailure):
    """A process was killed and does not end, so that its memory and its GPU are not to be had back."""


class Lane:
    """Where one call at a time travels."""

    def __init__(self, connection: socket.socket, arena: Arena) -> None:
        self._socket = FrameSocket(connection, MAX_MESSAGE)
        self._arena = arena
        self._number = 0

    def put(self, tasks: Sequence[DecodingTask]) -> bytes:
        """Lay the features out and return what to say of them. Raises ValueError for tasks that no engine takes."""
        self._number += 1
        call = CALL.dump_json(Call.of(self._number, tasks))
        self._arena.put([task.features for task in tasks], tasks[0].options.audio_context)
        return call

    async def exchange(self, call: bytes) -> Answer:
        """Raises OSError where the process is gone or answers another call, ValueError where it talks nonsense."""
        await self._socket.send(call)
        (answer,) = ANSWER.validate_json(await self._socket.receive())
        if answer.number != self._number:
            raise FrameError(f"answer {answer.number} came to call {self._number}")
        return answer

    def shut(self) -> None:
        self._socket.shut()

    def close(self) -> None:
        self._socket.close()
        self._arena.close()


class EngineProcess:
    """Runs until it is lost or closed; `lost` then says why. `info` is what it loaded."""

    info: EngineInfo

    def __init__(self, process: asyncio.subprocess.Process, control: FrameSocket, ending: float = ENDING) -> None:
        self._process = process
        self._control = control
        self._ending = ending
        self.lost: asyncio.Future[EngineRestart] = asyncio.get_running_loop().create_future()
        self._reason: EngineRestart | None = None
        self._lanes: list[Lane] = []
        self._free: deque[Lane] = deque()
        self._watch = asyncio.create_task(self._watch_process(), name="engine-process")

    @classmethod
    async def start(
        cls, command: Sequence[str], plan: EnginePlan, environ: Mapping[str, str], chunks: Callable[[str], int]
    ) -> Self:
        """A process that has loaded the model, with room for `chunks` a call on its device.

        It has the environment `environ`, no descriptor of ours but stderr, and ends with us. Raises
        ModelUnavailable where the model cannot be loaded, EngineLost where the process cannot be
        started or ended, and EngineStuck. Whatever is raised, the process is gone.
        """
        process = await cls._spawn(command, environ)
        try:
            await process.load(plan, chunks)
        except (OSError, ValueError) as error:
            await process._cause(error)
            code = await process.close()
            raise EngineLost(f"the engine process ended with {code} while it loaded {plan.name}") from error
        except BaseException:
            await process.close()
            raise
        return process

    @classmethod
    async def _spawn(cls, command: Sequence[str], environ: Mapping[str, str]) -> Self:
        """Takes milliseconds, and is not interrupted: uvloop would leave a zombie."""
        spawning = asyncio.create_task(_spawned(command, environ))
        try:
            return cls(*await asyncio.shield(spawning))
        except OSError as error:
            raise EngineLost(f"the engine process cannot be started: {error}") from error
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                await cls(*await spawning).close()
            raise

    async def load(self, plan: EnginePlan, chunks: Callable[[str], int]) -> None:
        """Raises ModelUnavailable, OSError where the process is gone, or ValueError where it talks nonsense."""
        await self._control.send(PLAN.dump_json(plan))
        started = STARTED.validate_json(await self._control.receive())
        if isinstance(started, Unloadable):
            raise ModelUnavailable(started.message)
        self.info = _possible(started.info)
        await self._open_lanes(chunks(self.info.device))

    async def _open_lanes(self, chunks: int) -> None:
        lanes = Lanes(self.info.num_workers, ArenaShape(chunks, self.info.n_mels))
        await self._control.send(LANES.dump_json(lanes))
        for _ in range(lanes.count):
            self._open_lane(lanes.shape)

    def _open_lane(self, shape: ArenaShape) -> None:
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as on_failure:
            on_failure.callback(ours.close)
            arena = Arena.create(shape)
            on_failure.callback(arena.close)
            self._control.send_descriptors([theirs.fileno(), arena.descriptor])
            on_failure.pop_all()
        lane = Lane(ours, arena)
        self._lanes.append(lane)
        self._free.append(lane)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def free(self) -> int:
        """Calls that could begin now."""
        return 0 if self._reason else len(self._free)

    def decode(self, tasks: Sequence[DecodingTask], within: float) -> "asyncio.Task[Results]":
        """Begin a call, where `free` says so: one entry a task. The process is ended where no answer comes
        `within` so many seconds, and where the task that is returned is cancelled.

        The task raises EngineOutOfMemory or EngineFailure where the call failed, EngineLost with the process.
        """
        lane = self._free.popleft()
        call = asyncio.create_task(self._decode(lane, tasks, within), name="engine-call")
        call.add_done_callback(lambda _: self._release(lane))
        return call

    def _release(self, lane: Lane) -> None:
        if self._reason:
            lane.close()
        else:
            self._free.append(lane)

    async def _decode(self, lane: Lane, tasks: Sequence[DecodingTask], within: float) -> Results:
        return self._results(await self._call(lane, tasks, within))

    async def _call(self, lane: Lane, tasks: Sequence[DecodingTask], within: float) -> Answer:
        try:
            call = lane.put(tasks)
        except (ValueError, TypeError) as error:
            raise EngineFailure("the engine does not take this audio") from error
        try:
            async with asyncio.timeout(within):
                return await lane.exchange(call)
        except TimeoutError:
            logger.warning("an engine call hung", extra={"seconds": within})
            self.kill("hang")
        except (OSError, ValueError) as error:
            self.kill(await self._cause(error))
        except BaseException:
            self.kill("manual")  # what the lane says next would be the answer to nobody
            raise
        raise self._loss()

    def _results(self, answer: Answer) -> Results:
        if answer.fatal:
            self.kill("cuda")
            raise self._loss()
        if answer.failed is not None:
            raise answer.failed.error()
        return [one.error() if isinstance(one, Failed) else one for one in answer.results]

    async def _cause(self, error: Exception) -> EngineRestart:
        """Why nothing more comes, or nothing of sense: sockets end a moment before the exit code is known."""
        gone = isinstance(error, OSError) and not isinstance(error, FrameError)
        if gone and not self._reason:
            await asyncio.wait({self._watch}, timeout=PARTING)
        return self._reason or "crash"

    def _loss(self) -> EngineLost:
        cause = self._reason or "crash"
        words = {"hang": "hung", "cuda": "failed for good"}.get(cause, "ended")
        return EngineLost(f"the engine {words} while it worked on this audio", cause=cause)

    def kill(self, reason: EngineRestart) -> None:
        """End the process now, and all its calls; the first reason counts.

        It is killed once: to kill one that has just ended is to take its exit code from who waits for it.
        """
        if self._reason:
            return
        self._reason = reason
        if not self.lost.done():  # who waited for it may have cancelled it
            self.lost.set_result(reason)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        for lane in self._lanes:
            lane.shut()
        self._control.shut()

    async def close(self) -> int:
        """End the process, let go of all it had, and return its exit code once it has ended.

        Raises EngineStuck where it has not within five seconds.
        """
        self.kill("manual")
        self._control.close()
        while self._free:
            self._free.popleft().close()  # the others are closed by their calls
        ended, _ = await asyncio.wait({self._watch}, timeout=self._ending)
        if not ended:
            raise EngineStuck(f"the engine process {self._process.pid} was killed and does not end")
        return self._watch.result()

    async def _watch_process(self) -> int:
        code = await self._process.wait()
        self.kill("cuda" if code == FATAL_EXIT_CODE else "crash")
        return code


async def _spawned(
    command: Sequence[str], environ: Mapping[str, str]
) -> tuple[asyncio.subprocess.Process, FrameSocket]:
    """A process whose standard input is a socket, and our end of it. Raises OSError."""
    ours, theirs = socket.socketpair()
    with theirs, contextlib.ExitStack() as on_failure:
        on_failure.callback(ours.close)
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=theirs.fileno(),
            stdout=asyncio.subprocess.DEVNULL,  # ours is for what the service says
            env=dict(environ),
            start_new_session=True,
        )
        on_failure.pop_all()
    return process, FrameSocket(ours, MAX_MESSAGE)


def _possible(info: EngineInfo) -> EngineInfo:
    """Raises ValueError for what is no description of an engine."""
    if not (0 < info.num_workers <= MOST_WORKERS and 0 < info.n_mels <= MOST_MELS):
        raise ValueError(f"no engine has {info.num_workers} workers and {info.n_mels} mel bands")
    return info
