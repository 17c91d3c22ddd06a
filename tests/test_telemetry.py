"""Traces: spans that a real collector is sent, and a collector that is away."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from asr_api.metrics.labels import Outcome
from asr_api.settings import InvalidSettings
from asr_api.telemetry import FinishedRequest, NoTelemetry, Telemetry, build_telemetry
from asr_api.telemetry.otlp import OtlpTelemetry, ReportingExporter
from asr_api.trace import Trace

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
UNUSED = "http://127.0.0.1:9"
"""An address where nothing is started: port 9 is `discard`."""


class Collector:
    """What an OpenTelemetry collector was sent; where it is `stuck` it takes requests and never answers."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []
        self.go_on = threading.Event()
        if not stuck:
            self.go_on.set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                collector.paths.append(self.path)
                collector.go_on.wait()
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def collecting(*, stuck: bool = False) -> Iterator[Collector]:
    collector = Collector(stuck=stuck)
    serving = threading.Thread(target=collector.server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield collector
    finally:
        collector.go_on.set()
        collector.server.shutdown()
        collector.server.server_close()
        serving.join()


@contextmanager
def settled() -> Iterator[None]:
    """Wait for the threads that were started meanwhile."""
    others = threading.enumerate()
    yield
    for thread in set(threading.enumerate()).difference(others):
        thread.join()


def finished(
    status: int | None = 200, outcome: Outcome = "ok", headers: Mapping[str, str] | None = None
) -> FinishedRequest:
    """A request that began ten seconds ago."""
    began = time.monotonic() - 10
    trace = Trace("r1", began, audio_seconds=61.5, batch_sizes=[1, 4])
    trace.starts = {"upload": began, "decode": began + 1.5, "queue": began + 2, "inference": began + 3}
    trace.stages = {"upload": 1.5, "decode": 0.5, "queue": 1.0, "inference": 4.0}
    return FinishedRequest(trace, "transcriptions", "/v1/audio/transcriptions", status, outcome, headers or {})


def sent(*requests: FinishedRequest) -> list[Span]:
    """What a collector gets of requests."""
    with collecting() as collector:
        telemetry = OtlpTelemetry(collector.url, "1.2.3", close_timeout=30)
        for request in requests:
            telemetry.finished(request)
        telemetry.close()
        return collector.spans


def plain(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, kind or "string_value")


def attributes(pairs: Sequence[KeyValue]) -> dict[str, object]:
    return {pair.key: plain(pair.value) for pair in pairs}


def of_kind(spans: Sequence[Span], kind: Span.SpanKind.ValueType) -> list[Span]:
    return [span for span in spans if span.kind == kind]


def test_a_request_is_a_server_span() -> None:
    """Names and attributes are those of the semantic conventions, and our own."""
    (span,) = of_kind(sent(finished()), Span.SPAN_KIND_SERVER)
    assert span.name == "POST /v1/audio/transcriptions"
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert span.parent_span_id == b""
    assert attributes(span.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/audio/transcriptions",
        "http.response.status_code": 200,
        "url.path": "/v1/audio/transcriptions",
        "url.scheme": "http",
        "asr.request_id": "r1",
        "asr.endpoint": "transcriptions",
        "asr.outcome": "ok",
        "asr.audio_seconds": 61.5,
        "asr.batch_sizes": [1, 4],
    }


def test_each_stage_is_a_span_inside_at_its_own_time() -> None:
    """All in one trace, to the microsecond, on the clock of the world."""
    request = finished()
    spans = sent(request)
    (server,) = of_kind(spans, Span.SPAN_KIND_SERVER)
    stages = of_kind(spans, Span.SPAN_KIND_INTERNAL)
    assert {span.parent_span_id for span in stages} == {server.span_id}
    assert {span.trace_id for span in spans} == {server.trace_id}
    assert {
        span.name: (
            round((span.start_time_unix_nano - server.start_time_unix_nano) / 1e9, 6),
            round((span.end_time_unix_nano - span.start_time_unix_nano) / 1e9, 6),
        )
        for span in stages
    } == {"upload": (0, 1.5), "decode": (1.5, 0.5), "queue": (2, 1), "inference": (3, 4)}
    assert server.start_time_unix_nano / 1e9 == pytest.approx(time.time() - request.trace.elapsed, abs=5)
    assert server.end_time_unix_nano - server.start_time_unix_nano >= 10e9


def test_no_stage_ends_after_its_request() -> None:
    """Work that goes on for a client that went away is not the request's."""
    request = finished(499, "cancelled")
    request.trace.stages["inference"] = 3600.0
    spans = sent(request)
    (server,) = of_kind(spans, Span.SPAN_KIND_SERVER)
    assert max(span.end_time_unix_nano for span in spans) == server.end_time_unix_nano


def test_the_parent_is_the_callers() -> None:
    """W3C Trace Context: trace, parent and state go on as they came."""
    headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "tracestate": "vendor=1"}
    spans = sent(finished(headers=headers))
    (server,) = of_kind(spans, Span.SPAN_KIND_SERVER)
    assert server.parent_span_id.hex() == PARENT_ID
    assert {(span.trace_id.hex(), span.trace_state) for span in spans} == {(TRACE_ID, "vendor=1")}


def test_a_caller_that_does_not_sample_is_heard() -> None:
    """Its request leaves no span; the next does."""
    unsampled = finished(headers={"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"})
    spans = sent(unsampled, finished())
    assert len(spans) == 5
    assert TRACE_ID not in {span.trace_id.hex() for span in spans}


@pytest.mark.parametrize(
    ("status", "outcome", "code", "kind", "error"),
    [
        (400, "client_error", 400, "400", Status.STATUS_CODE_UNSET),
        (503, "shed", 503, "503", Status.STATUS_CODE_ERROR),
        (429, "shed", 429, "429", Status.STATUS_CODE_UNSET),
        (499, "cancelled", None, "cancelled", Status.STATUS_CODE_UNSET),
        (None, "internal_error", None, "internal_error", Status.STATUS_CODE_ERROR),
        (200, "engine_error", 200, "engine_error", Status.STATUS_CODE_ERROR),
    ],
)
def test_what_went_wrong_is_the_type_of_the_error(
    status: int | None, outcome: Outcome, code: int | None, kind: str, error: Status.StatusCode.ValueType
) -> None:
    """The status that was sent, or else the outcome; only the service's own faults make a span an error."""
    (span,) = of_kind(sent(finished(status, outcome)), Span.SPAN_KIND_SERVER)
    values = attributes(span.attributes)
    assert values.get("http.response.status_code") == code
    assert values["error.type"] == kind
    assert span.status.code == error


def test_the_resource_is_named_and_the_environment_goes_first() -> None:
    """Service name and version are ours unless OTEL_* variables say otherwise; the path is the specification's."""
    program = (
        "import sys\n"
        "from asr_api.telemetry import FinishedRequest, build_telemetry\n"
        "from asr_api.trace import Trace\n"
        "telemetry = build_telemetry(sys.argv[1] + '/', '1.2.3')\n"
        "telemetry.finished(FinishedRequest(Trace('r1'), 'transcribe', '/transcribe', 200, 'ok', {}))\n"
        "telemetry.close()\n"
    )
    with collecting() as collector:
        for more in ({}, {"OTEL_SERVICE_NAME": "mine", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test"}):
            arguments = [sys.executable, "-c", program, collector.url]
            subprocess.run(arguments, env=os.environ | more, timeout=60, check=True)
    ours, theirs = (attributes(request.resource_spans[0].resource.attributes) for request in collector.requests)
    assert (ours["service.name"], ours["service.version"]) == ("asr-api", "1.2.3")
    assert (theirs["service.name"], theirs["deployment.environment"]) == ("mine", "test")
    assert theirs["service.version"] == "1.2.3"
    assert set(collector.paths) == {"/v1/traces"}


def test_a_collector_that_never_answers_holds_nobody() -> None:
    """Thousands of requests finish while it has the first batch, and `close` gives up on it."""
    with settled(), collecting(stuck=True) as collector:
        telemetry = OtlpTelemetry(collector.url, "1", close_timeout=0.01)
        for _ in range(3000):
            telemetry.finished(finished())
        telemetry.close()
        assert not collector.go_on.is_set()


def test_a_collector_that_is_away_holds_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Requests finish, `close` ends the attempts, and the log has it in one line of ours."""
    with settled():
        telemetry = OtlpTelemetry(UNUSED.replace("//", "//user:secret@"), "1", close_timeout=0.01)
        telemetry.finished(finished())
        telemetry.close()
    (line,) = (one for one in caplog.records if one.name.startswith("asr_api"))
    assert vars(line)["collector"] == "127.0.0.1:9"
    assert "secret" not in caplog.text


class Failing(SpanExporter):
    """Loses every span."""

    def __init__(self) -> None:
        self.ends = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.ends += 1


def test_lost_spans_are_told_of_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """A line a minute at most, with the spans that were lost since the last."""
    now = iter([0.0, 59.0, 60.0])
    failing = Failing()
    exporter = ReportingExporter(failing, "collector:4318", clock=lambda: next(now))
    batch = [ReadableSpan("x")] * 10
    for _ in range(3):
        exporter.export(batch)
    assert [(one.levelno, vars(one)["lost_spans"]) for one in caplog.records] == [
        (logging.WARNING, 10),
        (logging.WARNING, 20),
    ]
    exporter.shutdown()
    exporter.shutdown()
    assert failing.ends == 1


@pytest.fixture(scope="module")
def silent() -> Iterator[Telemetry]:
    """Telemetry whose collector takes everything."""
    with collecting() as collector:
        telemetry = build_telemetry(collector.url, "1")
        yield telemetry
        telemetry.close()


@given(traceparent=st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.?"), state=st.text())
def test_no_header_breaks_a_request(silent: Telemetry, traceparent: str, state: str) -> None:
    """Whatever a client sends as its context, the request has finished."""
    silent.finished(finished(headers={"traceparent": traceparent, "tracestate": state}))


def test_without_an_endpoint_nobody_is_told() -> None:
    """The default: nothing is loaded and nothing is sent."""
    telemetry = build_telemetry("", "1")
    telemetry.finished(finished())
    telemetry.close()
    assert isinstance(telemetry, NoTelemetry)


def without_extra(endpoint: str, version: str) -> Telemetry:
    raise ModuleNotFoundError("No module named 'opentelemetry'")


def test_without_the_extra_the_start_says_what_to_install() -> None:
    """A sentence and the exit code of a wrong setting; without an endpoint the extra is not missed."""
    with pytest.raises(InvalidSettings, match=r"pip install 'asr-api\[otel\]'") as caught:
        build_telemetry(UNUSED, "1", make=without_extra)
    assert caught.value.exit_code == 78
    assert isinstance(build_telemetry("", "1", make=without_extra), NoTelemetry)


@pytest.mark.parametrize("endpoint", ["collector:4318", "collector", "ftp://collector", "http://", "http://[::1"])
def test_an_endpoint_is_an_address(endpoint: str) -> None:
    """What is none keeps the service from starting, rather than losing every trace later."""
    with pytest.raises(InvalidSettings, match="http://collector:4318"):
        build_telemetry(endpoint, "1")
