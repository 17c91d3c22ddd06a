"""Where the engine lives: in this process, or in processes of its own that are started again when they fail."""

import asyncio
import logging
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from asr_api.engine.messages import EnginePlan
from asr_api.engine.process import EngineProcess
from asr_api.engine.protocol import DecodingResult, DecodingTask, Engine, EngineInfo
from asr_api.engine.supervisor import Observer, Pace, SupervisionLimits, Supervisor
from asr_api.engine.vocabulary import Vocabulary, load_vocabulary
from asr_api.errors import AsrError, EngineFailure, EngineLost
from asr_api.models.resolve import ResolvedModel
from asr_api.selftest import SelfTest

logger = logging.getLogger(__name__)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What runs, and what it read in its self-test."""

    info: EngineInfo
    self_test: str


class EngineWatcher(Protocol):
    """Who hears how the engine is, once it was opened."""

    def engine_changed(self, up: int) -> None:
        """So many of its processes are up now; none while the only one is started again."""

    def engine_failed(self, error: AsrError) -> None:
        """There will be no engine any more."""


class EngineHost(Protocol):
    """An engine of `info.num_workers` calls at a time, to be used from an event loop.

    `decode` promises what Engine does, and raises EngineLost where a process ended with the call in
    it, Overloaded where there is no engine any more. `ready` returns as soon as `decode` would not
    have to wait for an engine. A call is never ended because who awaits it is cancelled.
    """

    async def open(self, watcher: EngineWatcher) -> Loaded:
        """Load and try the engine. Raises StartupError."""
        ...

    def tokenize(self, text: str) -> tuple[int, ...]: ...
    async def ready(self) -> None: ...
    async def decode(self, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]: ...
    async def close(self) -> None: ...


class LocalHost:
    """The engine in threads of this process. `load` blocks until it is ready, and raises StartupError."""

    def __init__(self, load: Callable[[], tuple[Engine, str]]) -> None:
        self._load = load
        self._engine: Engine | None = None
        self._pool: ThreadPoolExecutor | None = None

    async def open(self, watcher: EngineWatcher) -> Loaded:
        engine, heard = await in_own_thread(self._load)
        self._engine = engine
        self._pool = ThreadPoolExecutor(engine.info.num_workers, thread_name_prefix="engine")
        return Loaded(engine.info, heard)

    def tokenize(self, text: str) -> tuple[int, ...]:
        return self._loaded().tokenize(text)

    async def ready(self) -> None:
        """It is, once it is open."""

    async def decode(self, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._loaded().decode, tasks)

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        if self._engine is not None:
            self._engine.close()

    def _loaded(self) -> Engine:
        if self._engine is None:
            raise EngineFailure("no engine is loaded")
        return self._engine


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """How engine processes are made: `resolve` finds the model and blocks, `plan` tells what to load of it.

    There is one process for each of `devices`, with room for `chunks` a call; `command` starts
    one, in the environment `environ`.
    """

    resolve: Callable[[], ResolvedModel]
    plan: Callable[[ResolvedModel], EnginePlan]
    self_test: SelfTest
    devices: tuple[int, ...]
    chunks: Callable[[str], int]
    command: Sequence[str]
    environ: Mapping[str, str]
    limits: SupervisionLimits


class ProcessHost:
    """The engine in processes of its own, one for each GPU."""

    def __init__(self, plan: ProcessPlan, observer: Observer) -> None:
        self._plan = plan
        self._observer = observer
        self._pace = Pace()
        self._opening: asyncio.Task[EngineInfo] | None = None
        self._vocabulary: Vocabulary | None = None
        self._supervisor: Supervisor | None = None
        self._sample: DecodingTask | None = None
        self._heard = ""

    async def open(self, watcher: EngineWatcher) -> Loaded:
        """Where it is closed meanwhile, or its caller is cancelled, nothing is left of what was begun."""
        self._opening = asyncio.create_task(self._open(watcher), name="engine-opening")
        return Loaded(await self._opening, self._heard)

    async def _open(self, watcher: EngineWatcher) -> EngineInfo:
        model = await in_own_thread(self._plan.resolve)
        whole = self._plan.plan(model)
        self._vocabulary = await in_own_thread(lambda: load_vocabulary(model.path, whole.name))
        self._supervisor = Supervisor(
            [self._start_of(replace(whole, device_index=(index,))) for index in self._plan.devices],
            self._plan.limits,
            self._observer,
            on_change=watcher.engine_changed,
            on_failed=watcher.engine_failed,
            pace=self._pace,
        )
        return await self._supervisor.open()

    def _start_of(self, plan: EnginePlan) -> Callable[[], Awaitable[EngineProcess]]:
        async def start() -> EngineProcess:
            process = await EngineProcess.start(self._plan.command, plan, self._plan.environ, self._plan.chunks)
            try:
                self._heard = await self._try(process)
            except BaseException:
                await process.close()
                raise
            return process

        return start

    async def _try(self, process: EngineProcess) -> str:
        """Have the process read what it must be able to read, and take its time as the first measure of others.

        Raises ModelUnavailable, or what the process answered, or EngineLost.
        """
        if self._sample is None:
            self._sample = await in_own_thread(lambda: self._plan.self_test.task(process.info))
        task = self._sample
        loop = asyncio.get_running_loop()
        began = loop.time()
        results = await process.decode([task], max(FIRST_CALL, self._plan.limits.hang_timeout))
        if len(results) != 1:
            raise EngineLost(f"the engine gave {len(results)} answers in its self-test")
        heard = self._plan.self_test.check(results[0], process.info)
        self._pace.add(task.duration, loop.time() - began)
        return heard

    def tokenize(self, text: str) -> tuple[int, ...]:
        if self._vocabulary is None:
            raise EngineFailure("no engine is loaded")
        return self._vocabulary.encode(text)

    async def ready(self) -> None:
        await self._supervised().ready()

    async def decode(self, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]:
        return await self._supervised().decode(tasks)

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if self._supervisor is not None:
            await self._supervisor.close()

    def _supervised(self) -> Supervisor:
        if self._supervisor is None:
            raise EngineFailure("no engine is loaded")
        return self._supervisor


FIRST_CALL = 120.0
"""Seconds that the self-test may take: the first call on a GPU also loads its kernels."""


async def in_own_thread(work: Callable[[], Value]) -> Value:
    """Run blocking work in a daemon thread that ends with it, so that a shutdown never waits for it.

    CTranslate2 wants it so: the first thread that touches CUDA gets the legacy default stream,
    which all others wait for, and must not be one that decodes.
    """
    future: Future[Value] = Future()
    future.set_running_or_notify_cancel()  # from now on a caller that gives up leaves it to end by itself

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)
        except BaseException as error:  # ends this thread, and is not to end an event loop
            future.set_exception(RuntimeError(f"a thread was ended by {error!r}"))

    threading.Thread(target=run, name="load", daemon=True).start()
    return await asyncio.wrap_future(future)


def engine_command(log_format: str) -> tuple[str, ...]:
    """What starts an engine process: this Python, which imports nothing from the folder that it is in."""
    return (sys.executable, "-P", "-m", "asr_api.engine.child", log_format)
