"""Every Prometheus collector of the service, on a registry of its own, with closed label sets."""

import platform
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, Protocol, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

Endpoint = Literal["transcribe", "transcriptions", "translations"]
Outcome = Literal["ok", "client_error", "shed", "deadline", "cancelled", "engine_error", "internal_error"]
Stage = Literal["upload", "decode", "queue", "inference", "render"]
BatchOutcome = Literal["ok", "oom", "error"]
RetryReason = Literal["oom", "poison", "mismatch"]
Reason = Literal["compression_ratio", "avg_logprob", "length"]
Rejection = Literal[
    "too_long", "too_short", "empty", "format", "codec", "corrupt", "rate", "channels", "timeout", "memory", "crash"
]
WorkerState = Literal["idle", "busy", "starting"]
RestartReason = Literal["signal", "timeout", "memory", "protocol"]

ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
OUTCOMES: tuple[Outcome, ...] = (
    "ok",
    "client_error",
    "shed",
    "deadline",
    "cancelled",
    "engine_error",
    "internal_error",
)
STAGES: tuple[Stage, ...] = ("upload", "decode", "queue", "inference", "render")
REJECTIONS: tuple[Rejection, ...] = get_args(Rejection)
WORKER_STATES: tuple[WorkerState, ...] = get_args(WorkerState)
RESTART_REASONS: tuple[RestartReason, ...] = get_args(RestartReason)
REASONS: tuple[Reason, ...] = ("compression_ratio", "avg_logprob", "length")
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""The ladder that a request with temperature 0 climbs chunk by chunk (openai/whisper, transcribe.py)."""
AUDIO_CLASSES = ("short", "medium", "long")

LATENCY = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120, 300, 600)
STAGE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
AUDIO = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
BATCH = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)


class Queue(Protocol):
    """What the queue tells at scrape time."""

    @property
    def depth(self) -> int: ...
    @property
    def oldest_wait(self) -> float: ...
    @property
    def batch_limit(self) -> int: ...


class Load(Protocol):
    """What the service has taken on, told at scrape time."""

    @property
    def seconds(self) -> float: ...


def audio_class(seconds: float) -> str:
    """`short` up to 30 s, `medium` up to five minutes, `long` above."""
    return "short" if seconds <= 30 else "medium" if seconds <= 300 else "long"


class Metrics:
    """One attribute a collector, one method an event."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests()
        self._front_end()
        self._queue_and_engine()
        self._gpus()
        self.build_info = Info("asr_build", "Version of the service and of Python", registry=self.registry)
        self.build_info.info({"version": version, "python": platform.python_version()})
        self.model_info = Info("asr_model", "The model that is served and how it computes", registry=self.registry)

    def _requests(self) -> None:
        registry = self.registry
        self.requests_total = Counter(
            "asr_requests_total", "Requests that ended", ["endpoint", "outcome"], registry=registry
        )
        self.request_duration = Histogram(
            "asr_request_duration_seconds",
            "Seconds from the request's first byte to the end of its answer, by length of the audio",
            ["endpoint", "audio_class"],
            buckets=LATENCY,
            registry=registry,
        )
        self.stage_duration = Histogram(
            "asr_request_stage_duration_seconds",
            "Seconds a finished request spent in a stage",
            ["stage"],
            buckets=STAGE,
            registry=registry,
        )
        self.auth_failures_total = Counter(
            "asr_auth_failures_total", "Requests refused for want of a right API key", registry=registry
        )
        self.requests_running = Gauge("asr_requests_running", "Requests in progress", registry=registry)
        self.audio_seconds_total = Counter(
            "asr_audio_seconds_total", "Seconds of audio of requests that ended", ["outcome"], registry=registry
        )
        self.audio_duration = Histogram(
            "asr_audio_duration_seconds", "Seconds of audio a request", buckets=AUDIO, registry=registry
        )
        self.requests_joined_total = Counter(
            "asr_requests_joined_total", "Retries that found the work of the request before them", registry=registry
        )
        self.upload_bytes_total = Counter("asr_upload_bytes_total", "Bytes of audio received", registry=registry)
        for outcome in OUTCOMES:
            self.audio_seconds_total.labels(outcome)
            for endpoint in ENDPOINTS:
                self.requests_total.labels(endpoint, outcome)
        for stage in STAGES:
            self.stage_duration.labels(stage)
        for endpoint in ENDPOINTS:
            for name in AUDIO_CLASSES:
                self.request_duration.labels(endpoint, name)

    def _front_end(self) -> None:
        registry = self.registry
        self.decode_rejections_total = Counter(
            "asr_decode_rejections_total",
            "Files that could not be transcribed, by what was wrong",
            ["reason"],
            registry=registry,
        )
        self.decode_workers = Gauge(
            "asr_decode_workers", "Processes that decode files, by what they do", ["state"], registry=registry
        )
        self.decode_worker_restarts_total = Counter(
            "asr_decode_worker_restarts_total",
            "Decode workers replaced, by what was wrong with the old one",
            ["reason"],
            registry=registry,
        )
        self.spool_used = Gauge("asr_spool_used_bytes", "Bytes that wait on disk", registry=registry)
        self.spool_capacity = Gauge("asr_spool_capacity_bytes", "Bytes that may wait on disk", registry=registry)
        self.spool_files = Gauge("asr_spool_files", "Files that wait on disk", registry=registry)
        for rejection in REJECTIONS:
            self.decode_rejections_total.labels(rejection)
        for state in WORKER_STATES:
            self.decode_workers.labels(state)
        for restart in RESTART_REASONS:
            self.decode_worker_restarts_total.labels(restart)

    def _queue_and_engine(self) -> None:
        registry = self.registry
        self.ready = Gauge("asr_ready", "1 while the service takes requests", registry=registry)
        self.queue_chunks = Gauge("asr_queue_chunks", "Chunks that wait for the engine", registry=registry)
        self.queue_audio_seconds = Gauge(
            "asr_queue_audio_seconds", "Seconds of audio that wait for the engine or are in it", registry=registry
        )
        self.queue_capacity = Gauge(
            "asr_queue_capacity_audio_seconds", "Seconds of audio above which requests are refused", registry=registry
        )
        self.queue_oldest_wait = Gauge(
            "asr_queue_oldest_wait_seconds", "Seconds the oldest chunk has waited, 0 when none does", registry=registry
        )
        self.batch_size = Histogram("asr_batch_size", "Chunks an engine call", buckets=BATCH, registry=registry)
        self.batch_duration = Histogram(
            "asr_batch_duration_seconds", "Seconds an engine call took", buckets=STAGE, registry=registry
        )
        self.batches_total = Counter("asr_batches_total", "Engine calls", ["outcome"], registry=registry)
        self.batch_retries_total = Counter(
            "asr_batch_retries_total", "Engine calls tried again in parts", ["reason"], registry=registry
        )
        self.batch_limit = Gauge(
            "asr_batch_limit", "Chunks that the next engine call may have; lower after VRAM ran out", registry=registry
        )
        self.engine_busy = Counter(
            "asr_engine_busy_seconds_total", "Seconds that engine workers were busy, all together", registry=registry
        )
        self.engine_load = Gauge(
            "asr_engine_load_duration_seconds", "Seconds the model took to load", registry=registry
        )
        self.generated_tokens = Counter("asr_generated_tokens_total", "Tokens the engine wrote", registry=registry)
        self.fallbacks_total = Counter(
            "asr_fallbacks_total",
            "Chunks decoded again, by the temperature of the new attempt and what was wrong with the last",
            ["temperature", "reason"],
            registry=registry,
        )
        for outcome in ("ok", "oom", "error"):
            self.batches_total.labels(outcome)
        for retry in ("oom", "poison", "mismatch"):
            self.batch_retries_total.labels(retry)
        for reason in REASONS:
            for temperature in TEMPERATURES:
                self.fallbacks_total.labels(f"{temperature:.1f}", reason)

    def _gpus(self) -> None:
        registry = self.registry
        self.gpu_collector_up = Gauge("asr_gpu_collector_up", "1 while NVML answers", registry=registry)
        self.gpu_memory_used = Gauge("asr_gpu_memory_used_bytes", "VRAM in use", ["gpu"], registry=registry)
        self.gpu_memory_total = Gauge("asr_gpu_memory_total_bytes", "VRAM of the GPU", ["gpu"], registry=registry)
        self.gpu_process_memory = Gauge(
            "asr_gpu_process_memory_bytes", "VRAM that this process uses", ["gpu"], registry=registry
        )
        self.gpu_utilization = Gauge(
            "asr_gpu_utilization_ratio", "Share of time in which a kernel ran, 0 to 1", ["gpu"], registry=registry
        )

    def watch_queue(self, queue: Queue, load: Load) -> None:
        """Read the gauges from the queue and the load themselves, at each scrape."""
        gauges: list[tuple[Gauge, Callable[[], float]]] = [
            (self.queue_chunks, lambda: queue.depth),
            (self.batch_limit, lambda: queue.batch_limit),
            (self.queue_audio_seconds, lambda: load.seconds),
            (self.queue_oldest_wait, lambda: queue.oldest_wait),
        ]
        for gauge, read in gauges:
            gauge.set_function(read)

    def decode_rejected(self, reason: Rejection) -> None:
        self.decode_rejections_total.labels(reason).inc()

    def decode_worker_replaced(self, reason: RestartReason) -> None:
        self.decode_worker_restarts_total.labels(reason).inc()

    def watch_decode_workers(self, count: Callable[[WorkerState], int]) -> None:
        """Ask for the number of workers in each state at each scrape."""
        for state in WORKER_STATES:
            self.decode_workers.labels(state).set_function(partial(count, state))

    def batch_finished(self, size: int, seconds: float, outcome: BatchOutcome) -> None:
        self.batches_total.labels(outcome).inc()
        self.batch_size.observe(size)
        self.batch_duration.observe(seconds)
        self.engine_busy.inc(seconds)

    def batch_retried(self, reason: RetryReason) -> None:
        self.batch_retries_total.labels(reason).inc()

    def fell_back(self, temperature: float, reason: Reason) -> None:
        """Count a chunk that is decoded again, at the nearest of `TEMPERATURES`."""
        nearest = min(TEMPERATURES, key=lambda step: abs(step - temperature))
        self.fallbacks_total.labels(f"{nearest:.1f}", reason).inc()

    def request_finished(
        self, endpoint: Endpoint, outcome: Outcome, seconds: float, audio_seconds: float | None
    ) -> None:
        """Count a request that ended; `audio_seconds` is None where its audio was never decoded."""
        self.requests_total.labels(endpoint, outcome).inc()
        if audio_seconds is not None:
            self.audio_seconds_total.labels(outcome).inc(audio_seconds)
            self.audio_duration.observe(audio_seconds)
            self.request_duration.labels(endpoint, audio_class(audio_seconds)).observe(seconds)

    def stages_finished(self, stages: Sequence[tuple[Stage, float]]) -> None:
        for stage, seconds in stages:
            self.stage_duration.labels(stage).observe(seconds)
