"""The queue and the engine behind it."""

import time
from collections.abc import Callable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from asr_api.metrics.buckets import BATCH, PADDING, SHORT, STAGE
from asr_api.metrics.labels import (
    BATCH_OUTCOMES,
    ENGINE_FAULTS,
    ENGINE_RESTARTS,
    ENGINE_STATES,
    FALLBACK_REASONS,
    GUARDS,
    OMISSIONS,
    RETRY_REASONS,
    TEMPERATURES,
    BatchOutcome,
    EngineFault,
    EngineRestart,
    EngineState,
    FallbackReason,
    Guard,
    Omission,
    RetryReason,
    filled,
)

WINDOW = 30.0
"""Seconds of audio that Whisper's encoder is always given for a chunk; what a chunk lacks is silence."""


class Queue(Protocol):
    """What the queue tells at scrape time, from whichever thread."""

    @property
    def depth(self) -> int: ...
    @property
    def requests_waiting(self) -> int: ...
    @property
    def requests_running(self) -> int: ...
    @property
    def oldest_wait(self) -> float: ...
    @property
    def batch_limit(self) -> int: ...


class Load(Protocol):
    """What the service has taken on, told at scrape time."""

    @property
    def seconds(self) -> float: ...


class EngineMetrics:
    """Levels are read from their owners at each scrape; the rest is counted as it happens."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queue(registry)
        self._batches(registry)
        self._engine(registry)
        self._decoding(registry)

    def _queue(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=registry)

        self._running = gauge("asr_requests_running", "Requests with a chunk in the engine")
        self._depth = gauge("asr_queue_depth", "Requests that wait for the engine")
        self._chunks = gauge("asr_queue_chunks", "Chunks that wait for the engine")
        self._audio_seconds = gauge("asr_queue_audio_seconds", "Seconds of audio that wait for the engine or are in it")
        self._oldest_wait = gauge(
            "asr_queue_oldest_wait_seconds", "Seconds the oldest chunk has waited, 0 when none does"
        )
        self._capacity_seconds = gauge(
            "asr_queue_capacity_audio_seconds", "Seconds of audio above which requests are refused"
        )
        self._capacity_requests = gauge(
            "asr_queue_capacity_requests", "Requests in progress above which more are refused"
        )
        self._batch_limit = gauge(
            "asr_batch_limit", "Chunks that the next engine call may have; lower after VRAM ran out"
        )

    def _batches(self, registry: CollectorRegistry) -> None:
        self._size = Histogram("asr_batch_size", "Chunks an engine call", buckets=BATCH, registry=registry)
        self._duration = Histogram(
            "asr_batch_duration_seconds", "Seconds an engine call took", buckets=STAGE, registry=registry
        )
        self._formation = Histogram(
            "asr_batch_formation_seconds",
            "Seconds that a chunk waited while a worker was free, until its batch was formed",
            buckets=SHORT,
            registry=registry,
        )
        self._padding = Histogram(
            "asr_batch_padding_ratio",
            "Share of an engine call's windows of 30 s in which there is no audio",
            buckets=PADDING,
            registry=registry,
        )
        self._total = filled(
            Counter("asr_batches_total", "Engine calls", ["outcome"], registry=registry),
            BATCH_OUTCOMES,
        )
        self._retries = filled(
            Counter("asr_batch_retries_total", "Engine calls tried again", ["reason"], registry=registry),
            RETRY_REASONS,
        )

    def _engine(self, registry: CollectorRegistry) -> None:
        self._state = filled(
            Gauge("asr_engine_state", "1 for the state that the engine is in", ["state"], registry=registry),
            ENGINE_STATES,
        )
        self._restarts = filled(
            Counter("asr_engine_restarts_total", "Engines started again", ["reason"], registry=registry),
            ENGINE_RESTARTS,
        )
        self._errors = filled(
            Counter("asr_engine_errors_total", "Engine calls that failed", ["kind"], registry=registry),
            ENGINE_FAULTS,
        )
        self._progress = Gauge(
            "asr_engine_last_progress_timestamp_seconds", "When an engine call last ended well", registry=registry
        )
        self._busy = Counter(
            "asr_engine_busy_seconds_total", "Seconds that engine workers were busy, all together", registry=registry
        )
        self._workers = Gauge("asr_engine_workers", "Engine calls that may run at a time", registry=registry)
        self._load = Gauge("asr_engine_load_duration_seconds", "Seconds the model took to load", registry=registry)
        self._model = Info("asr_model", "The model that is served and how it computes", registry=registry)

    def _decoding(self, registry: CollectorRegistry) -> None:
        self._tokens = Counter("asr_generated_tokens_total", "Tokens the engine wrote", registry=registry)
        self._fallbacks = filled(
            Counter(
                "asr_fallbacks_total",
                "Chunks decoded again, by the temperature of the new attempt and what was wrong with the last",
                ["temperature", "reason"],
                registry=registry,
            ),
            tuple(f"{temperature:.1f}" for temperature in TEMPERATURES),
            FALLBACK_REASONS,
        )
        self._skipped = filled(
            Counter(
                "asr_skipped_audio_seconds_total",
                "Seconds of audio for which no text was written, by what held that nothing is said",
                ["guard"],
                registry=registry,
            ),
            GUARDS,
        )
        self._omissions = filled(
            Counter(
                "asr_omissions_total",
                "Stretches of speech for which no words were written, by what hearing them again brought",
                ["outcome"],
                registry=registry,
            ),
            OMISSIONS,
        )

    def watch(self, queue: Queue, load: Load) -> None:
        """Read the levels from the queue and the load themselves, at each scrape."""
        gauges: list[tuple[Gauge, Callable[[], float]]] = [
            (self._chunks, lambda: queue.depth),
            (self._depth, lambda: queue.requests_waiting),
            (self._running, lambda: queue.requests_running),
            (self._batch_limit, lambda: queue.batch_limit),
            (self._audio_seconds, lambda: load.seconds),
            (self._oldest_wait, lambda: queue.oldest_wait),
        ]
        for gauge, read in gauges:
            gauge.set_function(read)

    def capacity(self, requests: int, audio_seconds: float) -> None:
        self._capacity_requests.set(requests)
        self._capacity_seconds.set(audio_seconds)

    def loaded(self, seconds: float, workers: int, info: dict[str, str]) -> None:
        """A model was loaded in `seconds`; `info` says which, and how it computes."""
        self._load.set(seconds)
        self._workers.set(workers)
        self._model.info(info)
        self.progressed()

    def entered(self, state: EngineState) -> None:
        for one in ENGINE_STATES:
            self._state.labels(one).set(one == state)

    def progressed(self) -> None:
        self._progress.set(time.time())

    def batch_formed(self, size: int, cost: float, waited: float) -> None:
        """A batch of `cost` seconds of audio was formed `waited` seconds after a free worker had its first chunk."""
        self._formation.observe(waited)
        self._padding.observe(max(0.0, 1 - cost / (WINDOW * size)))

    def batch_finished(self, size: int, seconds: float, outcome: BatchOutcome) -> None:
        self._total.labels(outcome).inc()
        self._size.observe(size)
        self._duration.observe(seconds)
        self._busy.inc(seconds)
        if outcome == "ok":
            self.progressed()

    def batch_failed(self, kind: EngineFault) -> None:
        self._errors.labels(kind).inc()

    def batch_retried(self, reason: RetryReason) -> None:
        self._retries.labels(reason).inc()

    def restarted(self, reason: EngineRestart) -> None:
        self._restarts.labels(reason).inc()

    def wrote(self, tokens: int) -> None:
        self._tokens.inc(tokens)

    def fell_back(self, temperature: float, reason: FallbackReason) -> None:
        """Count a chunk that is decoded again, at the nearest of `TEMPERATURES`."""
        nearest = min(TEMPERATURES, key=lambda step: abs(step - temperature))
        self._fallbacks.labels(f"{nearest:.1f}", reason).inc()

    def skipped(self, guard: Guard, seconds: float) -> None:
        """Count audio for which no text is written."""
        self._skipped.labels(guard).inc(seconds)

    def omitted(self, outcome: Omission) -> None:
        """Count a stretch of speech that was heard again."""
        self._omissions.labels(outcome).inc()
