"""The running whole, from loading to draining: what the HTTP layer and the command line talk to."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from asr_api.admission import SLOW_UPLOADS, Admission, AdmissionLimits, Place, refusal_of
from asr_api.batching import BatchingQueue
from asr_api.decoder import Submitter
from asr_api.engine.protocol import DecodingResult, DecodingTask, EngineInfo
from asr_api.errors import AsrError, Draining, EngineFailure, Overloaded
from asr_api.hosting import EngineHost, Loaded
from asr_api.job import Progress
from asr_api.joining import Joining
from asr_api.metrics import Metrics
from asr_api.metrics.labels import EngineState
from asr_api.settings import Settings
from asr_api.spool import Spool
from asr_api.stitching import OnPart
from asr_api.telemetry import NoTelemetry, Telemetry
from asr_api.trace import Trace
from asr_api.transcriber import Transcriber
from asr_api.transcription import Transcription, TranscriptionOptions

Queue = BatchingQueue[DecodingTask, DecodingResult]

logger = logging.getLogger(__name__)

RETRY_AFTER = 5.0
"""Seconds after which a refused client may try again."""


class Decoding(Protocol):
    """What has to run before files can be prepared. `open` raises StartupError."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is made of: `engine` is where the engine lives, `decoding` are the processes that
    prepare files, `spool` is where what is large waits, and `transcriber` ties all together.
    """

    engine: EngineHost
    decoding: Decoding
    spool: Spool
    transcriber: Callable[[EngineInfo, Submitter, Admission, int], Transcriber]


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
        telemetry: Telemetry | None = None,
    ) -> None:
        self.settings = settings
        self.telemetry: Telemetry = telemetry or NoTelemetry()
        self.metrics = metrics
        self.spool = parts.spool
        self.joining: Joining[Any, Transcription] = Joining(
            settings.retry_window, settings.max_concurrent_requests, metrics.requests.joined
        )
        metrics.engine.capacity(settings.max_concurrent_requests, settings.max_queue_audio_seconds)
        self._enter("loading")
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
        self._info: EngineInfo | None = None
        self._queue: Queue | None = None
        self._transcriber: Transcriber | None = None
        self._workers: list[asyncio.Task[None]] = []

    @property
    def info(self) -> EngineInfo | None:
        """The engine's description, None while it is loading."""
        return self._info

    @property
    def running(self) -> int:
        """Requests in progress."""
        return self._admission.running

    async def open(self) -> None:
        """Load the engine and take requests. Raises StartupError where it cannot be loaded."""
        began = time.monotonic()
        self.spool.open()
        loaded, _ = await asyncio.gather(self._parts.engine.open(self), self._parts.decoding.open())
        info = loaded.info
        self._start(info)
        self._describe(info, time.monotonic() - began)
        self._enter("ready")
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

    def _start(self, info: EngineInfo) -> None:
        size = self.settings.batch_size_on(info.device)
        window = 2 * size * info.num_workers
        self._info = info
        self._queue = BatchingQueue(
            self._parts.engine.decode,
            ready=self._parts.engine.ready,
            key=lambda task: task.options,
            max_batch_size=size,
            max_queue_size=window * SLOW_UPLOADS * self.settings.max_concurrent_requests,
            max_queue_delay=self.settings.max_queue_delay,
            observer=self.metrics.engine,
        )
        self._transcriber = self._parts.transcriber(info, self._queue, self._admission, window)
        self._workers = [asyncio.create_task(self._queue.run(), name=f"worker-{n}") for n in range(info.num_workers)]
        for worker in self._workers:
            worker.add_done_callback(self._worker_ended)
        self.metrics.engine.watch(self._queue, self._admission)

    def _describe(self, info: EngineInfo, seconds: float) -> None:
        self.metrics.engine.loaded(
            seconds,
            info.num_workers,
            {
                "model": info.model,
                "revision": info.revision,
                "device": info.device,
                "compute_type": info.compute_type,
                "ct2": info.library,
            },
        )

    def engine_changed(self, up: int) -> None:
        """So many engine processes are up: without one, requests wait, and new ones should go elsewhere."""
        if self.state in ("ready", "restarting"):
            self._enter("ready" if up else "restarting")

    def engine_failed(self, error: AsrError) -> None:
        """There will be no engine any more."""
        if self.state in ("draining", "failed"):
            return
        self._enter("failed")
        if self._on_failed is not None:
            self._on_failed(error)

    def _enter(self, state: EngineState) -> None:
        self.state = state
        self.metrics.engine.entered(state)
        self.metrics.process.entered(ready=state == "ready", draining=state == "draining")

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        if self.state in ("draining", "failed") or worker.cancelled():
            return
        error = worker.exception()
        logger.critical("an engine worker ended", exc_info=error)
        self.engine_failed(EngineFailure(f"an engine worker ended: {error}"))

    def check(self, tenant: str = "") -> None:
        """Raises what `admitted` would raise now."""
        self._check_state()
        self._admission.check(tenant)

    @contextmanager
    def admitted(self, tenant: str = "") -> Iterator[Place]:
        """A place for one request of a tenant, taken before its body is read and given back at its end.

        Raises Overloaded (`engine_loading`, `draining`, `engine_failed`, `queue_full`,
        `deadline_unreachable`), or TooManyRequests, where there is none.
        """
        self._check_state()
        with self._admission.place(tenant) as place:
            yield place

    def _check_state(self) -> None:
        if self.state == "loading":
            raise still_loading()
        if self.state == "draining":
            raise Draining("the service is shutting down", retry_after=RETRY_AFTER)
        if self.state == "failed":
            raise Overloaded(
                "the engine has failed and the service restarts", code="engine_failed", reason="engine", retry_after=30
            )

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

    def drain(self) -> None:
        """Admit no more; what was admitted goes on."""
        self._enter("draining")

    async def close(self, grace: float | None = None) -> None:
        """Finish the chunks that wait within `grace` seconds (`drain_timeout` where None), fail every other
        with Draining, and let go of the engine.
        """
        self.drain()
        if self._queue is not None:
            self._queue.close()
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=self.settings.drain_timeout if grace is None else grace)
            for worker in late:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
        await self.joining.close()
        await self._parts.decoding.close()
        await self._parts.engine.close()
        await asyncio.to_thread(self.telemetry.close)


def still_loading() -> Overloaded:
    return Overloaded("the model is being loaded", code="engine_loading", reason="engine", retry_after=RETRY_AFTER)
