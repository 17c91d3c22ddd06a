"""Where finished requests are told of as traces: nowhere, or an OpenTelemetry collector."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from asr_api.metrics.labels import Endpoint, Outcome
from asr_api.settings import InvalidSettings
from asr_api.trace import Trace

__all__ = ["FinishedRequest", "NoTelemetry", "Telemetry", "build_telemetry"]


@dataclass(frozen=True, slots=True)
class FinishedRequest:
    """A request about audio whose answer is sent, or whose client is gone.

    `status` is what was sent, None where nothing was. `headers` are those of the request, under
    lower-case names; `traceparent` and `tracestate` are read (W3C Trace Context).
    """

    trace: Trace
    endpoint: Endpoint
    route: str
    status: int | None
    outcome: Outcome
    headers: Mapping[str, str]
    method: str = "POST"
    scheme: str = "http"


class Telemetry(Protocol):
    """Never raises and never waits for a collector, but `close`, which waits for a bounded time."""

    def finished(self, request: FinishedRequest) -> None: ...
    def close(self) -> None: ...


class NoTelemetry:
    """Tells nobody."""

    def finished(self, request: FinishedRequest) -> None:
        pass

    def close(self) -> None:
        pass


Maker = Callable[[str, str], Telemetry]
"""Makes the telemetry of a collector's base address and the service's version; ImportError without the extra."""


def _otlp(endpoint: str, version: str) -> Telemetry:
    from asr_api.telemetry.otlp import OtlpTelemetry

    return OtlpTelemetry(endpoint, version)


def build_telemetry(endpoint: str, version: str, make: Maker = _otlp) -> Telemetry:
    """What `otlp_endpoint` asks for. Raises InvalidSettings where it is no address, or the extra is not installed."""
    if not endpoint:
        return NoTelemetry()
    if not _is_address(endpoint):
        raise _invalid("ASR_OTLP_ENDPOINT (--otlp-endpoint) must be an address as http://collector:4318")
    try:
        return make(endpoint, version)
    except ImportError as error:
        raise _invalid(
            "ASR_OTLP_ENDPOINT is set, but traces need another package: pip install 'asr-api[otel]'"
        ) from error


def _is_address(endpoint: str) -> bool:
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _invalid(message: str) -> InvalidSettings:
    return InvalidSettings(message, param="ASR_OTLP_ENDPOINT")
