"""Traces as OpenTelemetry has them: a span for each request, one inside for each stage, sent with OTLP over HTTP."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.semconv.attributes import error_attributes, http_attributes, service_attributes, url_attributes
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from asr_api.telemetry import FinishedRequest

logger = logging.getLogger(__name__)

EXPORT_TIMEOUT = 5.0
"""Seconds that a batch of spans gets, retries included."""

CLOSE_TIMEOUT = 2.0
"""Seconds that the spans which wait get at the end."""

SILENCE = 60.0
"""Seconds between two lines of the log about a collector that does not take spans."""

FAULTS = frozenset({"engine_error", "internal_error", "deadline"})
"""Outcomes that are the service's fault even where the answer began with 200."""

ENDED_BY_CLIENT = 499
"""The status in the log of a request whose client went away; nothing was sent."""


class OtlpTelemetry:
    """Hands spans to a thread that sends them in batches; what a dead collector does not take is lost.

    `endpoint` is the collector's base address: `/v1/traces` is put after it, as the OTLP exporter
    specification has it for OTEL_EXPORTER_OTLP_ENDPOINT. The names of attributes are those of
    OpenTelemetry's semantic conventions for HTTP server spans; the request's parent, and with it
    whether it is sampled, comes from W3C Trace Context. OTEL_SERVICE_NAME and
    OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_* and OTEL_EXPORTER_OTLP_HEADERS are
    heard; nothing global is read or set.
    """

    def __init__(self, endpoint: str, version: str, close_timeout: float = CLOSE_TIMEOUT) -> None:
        exporter = OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces", timeout=EXPORT_TIMEOUT)
        self._exporter = ReportingExporter(exporter, _address(endpoint))
        self._provider = TracerProvider(resource=_resource(version), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("asr_api", version)
        self._propagator = TraceContextTextMapPropagator()
        self._close_timeout = close_timeout

    def finished(self, request: FinishedRequest) -> None:
        at = _clock()
        ended = request.trace.started + request.trace.elapsed
        span = self._tracer.start_span(
            f"{request.method} {request.route}",
            self._propagator.extract(request.headers, Context()),
            SpanKind.SERVER,
            dict(_attributes(request)),
            start_time=at(request.trace.started),
        )
        if _is_fault(request):
            span.set_status(Status(StatusCode.ERROR, request.outcome))
        self._stages(span, request, at, ended)
        span.end(at(ended))

    def _stages(self, span: Span, request: FinishedRequest, at: Callable[[float], int], ended: float) -> None:
        context = set_span_in_context(span, Context())
        for stage, began in request.trace.starts.items():
            child = self._tracer.start_span(stage, context, start_time=at(began))
            child.end(at(min(began + request.trace.stages[stage], ended)))

    def close(self) -> None:
        """Send what waits, for `close_timeout` seconds at most."""
        ending = threading.Thread(target=self._provider.shutdown, name="telemetry-close", daemon=True)
        ending.start()
        ending.join(self._close_timeout)
        self._exporter.shutdown()


def _clock() -> Callable[[float], int]:
    """From the monotonic clock to nanoseconds of the epoch, as both stand now."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda seconds: offset + round(seconds * 1e9)


def _attributes(request: FinishedRequest) -> Iterator[tuple[str, AttributeValue]]:
    yield http_attributes.HTTP_REQUEST_METHOD, request.method
    yield http_attributes.HTTP_ROUTE, request.route
    yield url_attributes.URL_PATH, request.route
    yield url_attributes.URL_SCHEME, request.scheme
    yield "asr.request_id", request.trace.id
    yield "asr.endpoint", request.endpoint
    yield "asr.outcome", request.outcome
    yield "asr.batch_sizes", list(request.trace.batch_sizes)
    if request.trace.audio_seconds is not None:
        yield "asr.audio_seconds", request.trace.audio_seconds
    if (status := _sent(request)) is not None:
        yield http_attributes.HTTP_RESPONSE_STATUS_CODE, status
    if status is not None and status >= 400:
        yield error_attributes.ERROR_TYPE, str(status)
    elif request.outcome != "ok":
        yield error_attributes.ERROR_TYPE, request.outcome


def _sent(request: FinishedRequest) -> int | None:
    return None if request.status == ENDED_BY_CLIENT else request.status


def _is_fault(request: FinishedRequest) -> bool:
    """A client's error is no error of a server span (semantic conventions for HTTP spans, "Status")."""
    return (_sent(request) or 0) >= 500 or request.outcome in FAULTS


def _resource(version: str) -> Resource:
    """Who sends the spans; what the environment says goes before our own."""
    ours = Resource({service_attributes.SERVICE_NAME: "asr-api", service_attributes.SERVICE_VERSION: version})
    return Resource.create(dict(ours.merge(OTELResourceDetector().detect()).attributes))


def _address(endpoint: str) -> str:
    """Host and port, without what else an address may hold: credentials are not logged."""
    return urlsplit(endpoint).netloc.rpartition("@")[2]


class ReportingExporter(SpanExporter):
    """An exporter whose failures are told of once in a while, with the number of spans that were lost."""

    def __init__(
        self,
        exporter: SpanExporter,
        address: str,
        clock: Callable[[], float] = time.monotonic,
        silence: float = SILENCE,
    ) -> None:
        self._exporter = exporter
        self._address = address
        self._clock = clock
        self._silence = silence
        self._lost = 0
        self._told: float | None = None
        self._ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            self._tell()
        return result

    def _tell(self) -> None:
        now = self._clock()
        if self._told is None or now - self._told >= self._silence:
            logger.warning("traces cannot be sent", extra={"collector": self._address, "lost_spans": self._lost})
            self._told, self._lost = now, 0

    def shutdown(self) -> None:
        """End at once, with the attempt that is being made."""
        if not self._ended:
            self._ended = True
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True
