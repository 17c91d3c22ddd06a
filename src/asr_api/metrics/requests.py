"""What clients asked and got."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from asr_api.metrics.buckets import AUDIO, LATENCY, REALTIME_FACTOR, STAGE
from asr_api.metrics.labels import (
    AUDIO_CLASSES,
    CODES,
    ENDPOINTS,
    OUTCOMES,
    PHASES,
    SHED_REASONS,
    STAGES,
    Endpoint,
    Outcome,
    Phase,
    ShedReason,
    Stage,
    audio_class,
    filled,
)


class RequestMetrics:
    """Requests about audio, counted as they end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts(registry)
        self._times(registry)

    def _counts(self, registry: CollectorRegistry) -> None:
        self._total = filled(
            Counter("asr_requests_total", "Requests that ended", ["endpoint", "outcome"], registry=registry),
            ENDPOINTS,
            OUTCOMES,
        )
        self._responses = filled(
            Counter(
                "asr_http_responses_total",
                "Answers by HTTP status, of all paths; 499 where the client went away",
                ["endpoint", "code"],
                registry=registry,
            ),
            (*ENDPOINTS, "other"),
            (*CODES, "other"),
        )
        self._in_flight = filled(
            Gauge("asr_requests_in_flight", "Requests in progress, by what they do", ["phase"], registry=registry),
            PHASES,
        )
        self._shed = filled(
            Counter("asr_requests_shed_total", "Requests refused for want of room", ["reason"], registry=registry),
            SHED_REASONS,
        )
        self._disconnects = filled(
            Counter(
                "asr_client_disconnects_total",
                "Clients that went away before they had their answer, by what was being done",
                ["phase"],
                registry=registry,
            ),
            ("headers", *PHASES),
        )
        self._joined = Counter(
            "asr_requests_joined_total", "Retries that found the work of the request before them", registry=registry
        )

    def _times(self, registry: CollectorRegistry) -> None:
        self._duration = filled(
            Histogram(
                "asr_request_duration_seconds",
                "Seconds from the request's first byte to the end of its answer, by length of the audio",
                ["endpoint", "audio_class"],
                buckets=LATENCY,
                registry=registry,
            ),
            ENDPOINTS,
            AUDIO_CLASSES,
        )
        self._stages = filled(
            Histogram(
                "asr_request_stage_duration_seconds",
                "Seconds a finished request spent in a stage",
                ["stage"],
                buckets=STAGE,
                registry=registry,
            ),
            STAGES,
        )
        self._realtime = filled(
            Histogram(
                "asr_request_realtime_factor_ratio",
                "Seconds that an answer took for each second of its audio",
                ["audio_class"],
                buckets=REALTIME_FACTOR,
                registry=registry,
            ),
            AUDIO_CLASSES,
        )
        self._audio_seconds = filled(
            Counter(
                "asr_audio_seconds_total", "Seconds of audio of requests that ended", ["outcome"], registry=registry
            ),
            OUTCOMES,
        )
        self._audio = Histogram(
            "asr_audio_duration_seconds", "Seconds of audio a request", buckets=AUDIO, registry=registry
        )

    def finished(self, endpoint: Endpoint, outcome: Outcome, seconds: float, audio_seconds: float | None) -> None:
        """Count a request that ended; `audio_seconds` is None where its audio was never decoded."""
        self._total.labels(endpoint, outcome).inc()
        if audio_seconds is None:
            return
        self._audio_seconds.labels(outcome).inc(audio_seconds)
        self._audio.observe(audio_seconds)
        self._duration.labels(endpoint, audio_class(audio_seconds)).observe(seconds)
        if audio_seconds:
            self._realtime.labels(audio_class(audio_seconds)).observe(seconds / audio_seconds)

    def stages_finished(self, stages: Sequence[tuple[Stage, float]]) -> None:
        for stage, seconds in stages:
            self._stages.labels(stage).observe(seconds)

    def answered(self, endpoint: Endpoint | None, code: int) -> None:
        """Count an answer of any path; None is one that is not about audio."""
        self._responses.labels(endpoint or "other", code if code in CODES else "other").inc()

    def moved(self, before: Phase | None, now: Phase | None) -> None:
        """A request goes from one phase to the next; None is before its first and after its last."""
        if before is not None:
            self._in_flight.labels(before).dec()
        if now is not None:
            self._in_flight.labels(now).inc()

    def shed(self, reason: ShedReason) -> None:
        self._shed.labels(reason).inc()

    def disconnected(self, phase: Phase) -> None:
        """Count a client that left while the request was in a phase."""
        self._disconnects.labels(phase).inc()

    def disconnected_in_headers(self) -> None:
        self._disconnects.labels("headers").inc()

    def joined(self) -> None:
        self._joined.inc()
