"""Keeps engine processes alive: one for each GPU, started again when it is lost, until that is of no use."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from asr_api.engine.process import EngineStuck
from asr_api.engine.protocol import DecodingResult, DecodingTask, EngineInfo
from asr_api.errors import AsrError, Draining, EngineFailure, EngineLost, Overloaded, StartupError
from asr_api.metrics.labels import EngineRestart

logger = logging.getLogger(__name__)

BACKOFF = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before the next start, by how many starts before it came to nothing."""

PATIENCE = 5.0
"""How many times the time that a call, or a start, should take it may take before the engine counts as hung."""

START_TIMEOUT = 120.0
"""Seconds that are granted to any start but the first, which may have to read the model over a network."""

MEMORY = 0.9
"""How much of the measured speed is kept at each call."""

STEADY = 60.0
"""Seconds after which a process that ended with no call in it counts as one that worked."""

RETRY_AFTER = 30.0
"""Seconds after which another service should be in the place of one whose engine failed for good."""


class Process(Protocol):
    """One engine process, as EngineProcess is."""

    @property
    def info(self) -> EngineInfo: ...
    @property
    def free(self) -> int: ...
    @property
    def lost(self) -> "asyncio.Future[EngineRestart]": ...
    def decode(
        self, tasks: Sequence[DecodingTask], within: float
    ) -> "asyncio.Task[Sequence[DecodingResult | Exception]]": ...
    async def close(self) -> int: ...


Start = Callable[[], Awaitable[Process]]
"""Starts a process and has it show that it works. Raises an AsrError where it does not."""


@dataclass(frozen=True, slots=True)
class SupervisionLimits:
    """`hang_timeout` seconds are granted to any call; after `attempts` starts in a row of which none
    answered a single call, the engine has failed for good.
    """

    hang_timeout: float
    attempts: int = 5


class Observer(Protocol):
    def restarted(self, reason: EngineRestart) -> None: ...


class Pace:
    """How many seconds a call of some cost should take, by those before."""

    def __init__(self) -> None:
        self._seconds = self._cost = 0.0

    def add(self, cost: float, seconds: float) -> None:
        self._seconds = MEMORY * self._seconds + seconds
        self._cost = MEMORY * self._cost + cost

    def expected(self, cost: float) -> float:
        return cost * self._seconds / self._cost if self._cost else 0.0


@dataclass(slots=True, eq=False)
class Running:
    """A process that is up `since` a time of the loop, and whether it was asked anything, and has answered."""

    process: Process
    since: float
    asked: bool = False
    answered: bool = False

    def was_worth_it(self, now: float) -> bool:
        """It answered a call, or nobody asked for a while: no reason to start the next one later."""
        return self.answered or (not self.asked and now - self.since > STEADY)


@dataclass(slots=True, eq=False)
class Seat:
    """Where one process belongs. The first `start` took `started_in` seconds; the last `vain` came to nothing."""

    start: Start
    started_in: float = 0.0
    vain: int = 0
    running: Running | None = None

    async def fill(self, within: float | None) -> Process:
        """Start a process. Raises what `start` does, or TimeoutError."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(within):
            process = await self.start()
        seconds = loop.time() - began
        logger.info("an engine process is up", extra={"seconds": seconds})
        self.started_in = self.started_in or seconds
        self.running = Running(process, loop.time())
        return process


class Supervisor:
    """The engine of a service, in processes of its own. `decode` waits where one is being started.

    `on_change` hears how many processes are up whenever that changes, `on_failed` once why there
    will be none any more. Who asks from then on, or waited, hears Overloaded.
    """

    def __init__(
        self,
        starts: Sequence[Start],
        limits: SupervisionLimits,
        observer: Observer,
        *,
        on_change: Callable[[int], None],
        on_failed: Callable[[AsrError], None],
        pace: Pace | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._seats = [Seat(start) for start in starts]
        self._limits = limits
        self._observer = observer
        self._on_change = on_change
        self._on_failed = on_failed
        self._pace = pace or Pace()
        self._sleep = sleep
        self._changed = asyncio.Event()
        self._refusal: Overloaded | None = None
        self._keepers: list[asyncio.Task[None]] = []

    async def open(self) -> EngineInfo:
        """Start all processes, but one alone where there is no GPU; `num_workers` is of all together.

        Raises StartupError.
        """
        infos = [await self._first(self._seats[0])]
        if infos[0].device != "cuda":
            del self._seats[1:]
        try:
            async with asyncio.TaskGroup() as group:
                others = [group.create_task(self._first(seat)) for seat in self._seats[1:]]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        infos += [other.result() for other in others]
        return replace(infos[0], num_workers=sum(info.num_workers for info in infos))

    async def _first(self, seat: Seat) -> EngineInfo:
        try:
            process = await seat.fill(None)
        except EngineFailure as error:
            raise StartupError(error.message) from error
        self._told()
        self._keepers.append(asyncio.create_task(self._keep(seat, process), name="engine-supervisor"))
        return process.info

    async def ready(self) -> None:
        """Return as soon as a call could begin at once, or never will be able to."""
        while self._refusal is None and self._freest() is None:
            self._changed.clear()
            await self._changed.wait()

    def _freest(self) -> Running | None:
        running = [seat.running for seat in self._seats if seat.running is not None]
        freest = max(running, key=lambda one: one.process.free, default=None)
        return freest if freest is not None and freest.process.free else None

    async def decode(self, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]:
        """One call on whichever process is free. A caller that is cancelled leaves it to end by itself.

        Raises EngineFailure, EngineOutOfMemory, EngineLost, or Overloaded where there will be no engine.
        """
        running = await self._take()
        cost = sum(task.duration for task in tasks)
        loop = asyncio.get_running_loop()
        began = loop.time()
        running.asked = True
        call = running.process.decode(tasks, max(self._limits.hang_timeout, PATIENCE * self._pace.expected(cost)))
        call.add_done_callback(lambda _: self._changed.set())
        try:
            results = await asyncio.shield(call)
        except EngineLost:
            raise
        except EngineFailure:
            running.answered = True
            raise
        running.answered = True
        self._pace.add(cost, loop.time() - began)
        return results

    async def _take(self) -> Running:
        while True:
            await self.ready()
            if self._refusal is not None:
                raise self._refusal.copy()
            if freest := self._freest():
                return freest

    async def _keep(self, seat: Seat, process: Process) -> None:
        """Put another process in the place of each that is lost, until that is of no use."""
        try:
            while True:
                await self._bury(seat, process, await asyncio.shield(process.lost))
                process = await self._again(seat)
                self._told()
        except AsrError as error:
            self._fail(error)
        except Exception as error:
            logger.exception("the supervisor of the engine failed")
            self._fail(EngineFailure(f"its supervisor failed: {error!r}"))

    async def _bury(self, seat: Seat, process: Process, reason: EngineRestart) -> None:
        """Count the loss, and see that the process is gone. Raises EngineStuck where it does not go."""
        now = asyncio.get_running_loop().time()
        seat.vain = 0 if seat.running is not None and seat.running.was_worth_it(now) else seat.vain + 1
        seat.running = None
        try:
            self._told()
            self._observer.restarted(reason)
        finally:
            code = await process.close()
        logger.error("the engine was lost", extra={"reason": reason, "exit_code": code, "in_vain": seat.vain})

    async def _again(self, seat: Seat) -> Process:
        """Start until that succeeds. Raises EngineStuck, or EngineLost after which it is given up."""
        while True:
            self._check_hope()
            await self._sleep(BACKOFF[min(seat.vain, len(BACKOFF) - 1)])
            try:
                return await seat.fill(max(START_TIMEOUT, PATIENCE * seat.started_in))
            except EngineStuck:
                raise
            except Exception as error:
                seat.vain += 1
                logger.error("the engine could not be started", exc_info=error, extra={"in_vain": seat.vain})  # noqa: TRY400

    def _check_hope(self) -> None:
        """Where another process is up, or may be, there is hope, and starts go on for ever. Raises EngineLost."""
        if all(seat.running is None and seat.vain >= self._limits.attempts for seat in self._seats):
            starts = min(seat.vain for seat in self._seats)
            raise EngineLost(f"it was started {starts} times in a row and never answered a call")

    def _told(self) -> None:
        """Let everybody know how many processes are up."""
        self._changed.set()
        self._on_change(sum(seat.running is not None for seat in self._seats))

    def _fail(self, error: AsrError) -> None:
        if self._refusal is not None:
            return
        self._refusal = Overloaded(
            "the engine has failed and the service restarts",
            code="engine_failed",
            reason="engine",
            retry_after=RETRY_AFTER,
        )
        self._changed.set()
        self._on_failed(EngineFailure(f"the engine failed for good: {error.message}", code="engine_failed"))

    async def close(self) -> None:
        """End all processes; who waits for one hears Draining."""
        self._refusal = self._refusal or Draining("the service is shutting down")
        self._changed.set()
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        running = [seat.running.process for seat in self._seats if seat.running is not None]
        for outcome in await asyncio.gather(*(process.close() for process in running), return_exceptions=True):
            if isinstance(outcome, Exception):
                logger.error("an engine process did not end", exc_info=outcome)
