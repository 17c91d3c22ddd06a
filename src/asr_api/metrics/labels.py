"""The values that labels may have: closed sets, each initialised to 0, so that no series appears or is missing."""

from itertools import product
from typing import Literal, TypeVar, get_args

from prometheus_client import Counter, Gauge, Histogram

Endpoint = Literal["transcribe", "transcriptions", "translations"]
Outcome = Literal["ok", "client_error", "shed", "deadline", "cancelled", "engine_error", "internal_error"]
Stage = Literal["upload", "decode", "queue", "inference", "render"]
Phase = Literal["upload", "decode", "queue", "inference", "response"]
ShedReason = Literal["queue_full", "budget", "draining", "engine", "storage", "key_limit"]
BatchOutcome = Literal["ok", "oom", "error", "timeout", "crash"]
RetryReason = Literal["oom", "poison", "mismatch", "restart"]
EngineState = Literal["loading", "ready", "restarting", "draining", "failed"]
EngineFault = Literal["oom", "cuda", "mismatch", "other"]
EngineRestart = Literal["crash", "hang", "cuda", "manual"]
FallbackReason = Literal["compression_ratio", "avg_logprob", "length", "audio_context"]
Guard = Literal["vad", "no_speech", "blank"]
Omission = Literal["recovered", "left"]
Rejection = Literal[
    "too_long", "too_short", "empty", "format", "codec", "corrupt", "rate", "channels", "timeout", "memory", "crash"
]
WorkerState = Literal["idle", "busy", "starting"]
WorkerRestart = Literal["signal", "timeout", "memory", "protocol"]
AuthFailure = Literal["missing", "bad", "locked"]
ConnectionEnd = Literal[
    "client", "done", "header_timeout", "header_size", "bad_request", "idle", "limit", "write_timeout", "drain"
]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]

ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
STAGES: tuple[Stage, ...] = get_args(Stage)
PHASES: tuple[Phase, ...] = get_args(Phase)
SHED_REASONS: tuple[ShedReason, ...] = get_args(ShedReason)
BATCH_OUTCOMES: tuple[BatchOutcome, ...] = get_args(BatchOutcome)
RETRY_REASONS: tuple[RetryReason, ...] = get_args(RetryReason)
ENGINE_STATES: tuple[EngineState, ...] = get_args(EngineState)
ENGINE_FAULTS: tuple[EngineFault, ...] = get_args(EngineFault)
ENGINE_RESTARTS: tuple[EngineRestart, ...] = get_args(EngineRestart)
FALLBACK_REASONS: tuple[FallbackReason, ...] = get_args(FallbackReason)
GUARDS: tuple[Guard, ...] = get_args(Guard)
OMISSIONS: tuple[Omission, ...] = get_args(Omission)
REJECTIONS: tuple[Rejection, ...] = get_args(Rejection)
WORKER_STATES: tuple[WorkerState, ...] = get_args(WorkerState)
WORKER_RESTARTS: tuple[WorkerRestart, ...] = get_args(WorkerRestart)
AUTH_FAILURES: tuple[AuthFailure, ...] = get_args(AuthFailure)
CONNECTION_ENDS: tuple[ConnectionEnd, ...] = get_args(ConnectionEnd)
LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
AUDIO_CLASSES = ("short", "medium", "long")
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""The ladder that a request with temperature 0 climbs chunk by chunk (openai/whisper, transcribe.py)."""

CODES = (200, 204, 307, 400, 401, 404, 405, 408, 413, 414, 415, 429, 431, 499, 500, 503, 504)
"""HTTP status codes that are counted by themselves; any other is `other`. 499: the client went away."""

Collector = TypeVar("Collector", Counter, Gauge, Histogram)


def audio_class(seconds: float) -> str:
    """`short` up to 30 s, `medium` up to five minutes, `long` above."""
    return "short" if seconds <= 30 else "medium" if seconds <= 300 else "long"


def filled(collector: Collector, *values: tuple[object, ...]) -> Collector:
    """The collector with a series for each combination of its labels' values."""
    for labels in product(*values):
        collector.labels(*labels)
    return collector
