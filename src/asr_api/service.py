"""The running whole, from loading to draining: what the HTTP layer and the command line talk to."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Protocol, TypeVar

from asr_api.admission import Admission, AdmissionLimits, refusal_of
from asr_api.batching import BatchingQueue
from asr_api.engine.protocol import DecodingResult, DecodingTask, Engine, EngineInfo
from asr_api.errors import AsrError, EngineFailure, Overloaded
from asr_api.job import Progress
from asr_api.joining import Joining
from asr_api.metrics import Metrics
from asr_api.settings import Settings
from asr_api.spool import Spool
from asr_api.stitching import OnPart
from asr_api.trace import Trace
from asr_api.transcriber import Submitter, Transcriber
from asr_api.transcription import Transcription, TranscriptionOptions

State = Literal["loading", "ready", "draining", "failed"]
Value = TypeVar("Value")
Queue = BatchingQueue[DecodingTask, DecodingResult]

logger = logging.getLogger(__name__)

RETRY_AFTER = 5.0
"""Seconds after which a refused client may try again."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """An engine that is ready for work, and what it read in its self-test."""

    engine: Engine
    self_test: str


class Decoding(Protocol):
    """What has to run before files can be prepared. `open` raises StartupError."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """How a service gets its parts: `load` blocks until the engine is ready, `decoding` are the processes
    that prepare files, `spool` is where what is large waits, and `transcriber` ties all together.
    """

    load: Callable[[], Loaded]
    decoding: Decoding
    spool: Spool
    transcriber: Callable[[Engine, Submitter, Admission, int], Transcriber]


class Service:
    """Admits requests and answers them; `state` says whether it does so now.

    `on_ready` is called once with what was loaded, `on_failed` once with the reason when the
    service can no longer answer.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        parts: Parts,
        *,
        on_ready: Callable[[Loaded], None] | None = None,
        on_failed: Callable[[AsrError], None] | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.spool = parts.spool
        self.joining: Joining[Any, Transcription] = Joining(
            settings.retry_window, settings.max_concurrent_requests, metrics.requests_joined_total.inc
        )
        self.state: State = "loading"
        self._parts = parts
        self._on_ready = on_ready
        self._on_failed = on_failed
        self._admission = Admission(
            AdmissionLimits(
                settings.max_concurrent_requests,
                settings.max_queue_audio_seconds,
                settings.request_timeout,
                settings.max_requests_per_key,
                settings.max_audio_seconds_per_key,
            ),
            lambda: self._queue.rate if self._queue else None,
            refusal=refusal_of(settings.overload_status),
        )
        self._engine: Engine | None = None
        self._queue: Queue | None = None
        self._transcriber: Transcriber | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._engine_pool: ThreadPoolExecutor | None = None

    @property
    def info(self) -> EngineInfo | None:
        """The engine's description, None while it is loading."""
        return self._engine.info if self._engine else None

    async def open(self) -> None:
        """Load the engine and take requests. Raises StartupError where it cannot be loaded."""
        began = time.monotonic()
        self.spool.open()
        loaded, _ = await asyncio.gather(in_own_thread(self._parts.load), self._parts.decoding.open())
        self.metrics.engine_load.set(time.monotonic() - began)
        self._start(loaded.engine)
        self._enter("ready")
        info = loaded.engine.info
        logger.info(
            "ready",
            extra={
                "model": info.model,
                "device": info.device,
                "compute_type": info.compute_type,
                "workers": info.num_workers,
            },
        )
        if self._on_ready is not None:
            self._on_ready(loaded)

    def _start(self, engine: Engine) -> None:
        info = engine.info
        size = self.settings.max_batch_size or (16 if info.device == "cuda" else 8)
        window = 2 * size * info.num_workers
        self._engine = engine
        self._engine_pool = ThreadPoolExecutor(info.num_workers, thread_name_prefix="engine")
        self._queue = BatchingQueue(
            self._decode,
            key=lambda task: task.options,
            max_batch_size=size,
            max_queue_size=window * self.settings.max_concurrent_requests,
            max_queue_delay=self.settings.max_queue_delay,
            observer=self.metrics,
        )
        self._transcriber = self._parts.transcriber(engine, self._queue, self._admission, window)
        self._workers = [asyncio.create_task(self._queue.run(), name=f"worker-{n}") for n in range(info.num_workers)]
        for worker in self._workers:
            worker.add_done_callback(self._worker_ended)
        self.metrics.watch_queue(self._queue, self._admission)
        self.metrics.queue_capacity.set(self.settings.max_queue_audio_seconds)
        self.metrics.model_info.info({"model": info.model, "device": info.device, "compute_type": info.compute_type})

    async def _decode(self, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]:
        if self._engine is None:
            raise EngineFailure("no engine is loaded")
        return await asyncio.get_running_loop().run_in_executor(self._engine_pool, self._engine.decode, tasks)

    def _enter(self, state: State) -> None:
        self.state = state
        self.metrics.ready.set(state == "ready")

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        if self.state != "ready" or worker.cancelled():
            return
        error = worker.exception()
        logger.critical("an engine worker ended", exc_info=error)
        self._enter("failed")
        if self._on_failed is not None:
            self._on_failed(EngineFailure(f"an engine worker ended: {error}"))

    @contextmanager
    def admitted(self, tenant: str = "") -> Iterator[None]:
        """A place for one request of a tenant, taken before its body is read and given back at its end.

        Raises Overloaded (`engine_loading`, `draining`, `engine_failed`, `queue_full`,
        `deadline_unreachable`), or TooManyRequests, where there is none.
        """
        self._check_state()
        with self._admission.place(tenant):
            yield

    def _check_state(self) -> None:
        if self.state == "loading":
            raise still_loading()
        if self.state == "draining":
            raise Overloaded("the service is shutting down", code="draining", retry_after=RETRY_AFTER)
        if self.state == "failed":
            raise Overloaded("the engine has failed and the service restarts", code="engine_failed", retry_after=30)

    async def transcribe(
        self,
        upload: BinaryIO,
        options: TranscriptionOptions,
        trace: Trace,
        *,
        on_progress: Progress | None = None,
        on_part: OnPart | None = None,
        tenant: str = "",
    ) -> Transcription:
        """Transcribe one file; `on_progress` hears (seconds done, seconds in all) after each chunk, `on_part`
        what came of it as soon as all chunks before it are done.

        Requests of one tenant (an API key, from a closed set) share that tenant's part of the engine.

        Raises InvalidAudio, InvalidRequest (an unknown language), DeadlineExceeded, EngineFailure or Overloaded.
        """
        if self._transcriber is None:
            raise still_loading()
        return await self._transcriber.transcribe(
            upload, options, trace, on_progress=on_progress, on_part=on_part, tenant=tenant
        )

    async def close(self) -> None:
        """Finish what was accepted within `drain_timeout`, fail the rest, and let go of the engine."""
        self._enter("draining")
        if self._queue is not None:
            self._queue.close()
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=self.settings.drain_timeout)
            for worker in late:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
        await self.joining.close()
        await self._parts.decoding.close()
        if self._engine_pool is not None:
            self._engine_pool.shutdown(wait=False, cancel_futures=True)
        if self._engine is not None:
            self._engine.close()


def still_loading() -> Overloaded:
    return Overloaded("the model is being loaded", code="engine_loading", retry_after=RETRY_AFTER)


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

    threading.Thread(target=run, name="load", daemon=True).start()
    return await asyncio.wrap_future(future)
