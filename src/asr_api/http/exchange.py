"""One HTTP request and its answer, as the middleware and the error handlers see it."""

import re
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from asr_api.errors import AsrError, Overloaded
from asr_api.http.line import Line, Spot
from asr_api.metrics.labels import Endpoint, Outcome, ShedReason
from asr_api.trace import Moved, Trace, unheard

AUDIO_ENDPOINTS: MappingProxyType[tuple[str, str], Endpoint] = MappingProxyType(
    {
        ("POST", "/transcribe"): "transcribe",
        ("POST", "/v1/audio/transcriptions"): "transcriptions",
        ("POST", "/v1/audio/translations"): "translations",
    }
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class Exchange:
    """`endpoint` is None where the request is not about audio, `status` is None until the answer starts.

    `shed` is what was short where the request was refused for want of room. `spot` is its place among
    those that wait for the engine. `resources` are what
    the answer needs until it is sent, or the client is gone.
    """

    trace: Trace
    spot: Spot
    endpoint: Endpoint | None
    status: int | None = None
    outcome: Outcome = "ok"
    shed: ShedReason | None = None
    resources: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    def begin(cls, scope: Scope, moved: Moved = unheard, line: Line | None = None) -> "Exchange":
        """The exchange of an ASGI scope, kept in the scope's state for `exchange_of`.

        `moved` hears the phases of a request about audio.
        """
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        trace = Trace(_request_id(Headers(scope=scope).get("x-request-id", "")))
        exchange = cls(trace, Spot(line or Line(), moved), AUDIO_ENDPOINTS.get((scope["method"], path)))
        if exchange.endpoint:
            trace.moved = exchange.spot.moved
            trace.enter("upload")
        scope.setdefault("state", {})["exchange"] = exchange
        return exchange

    def fail(self, error: AsrError) -> None:
        """Note what the exchange ended with."""
        self.outcome = cast(Outcome, error.outcome)
        if isinstance(error, Overloaded):
            self.shed = cast(ShedReason, error.reason)


def exchange_of(request: Request) -> Exchange:
    """The exchange that a request belongs to."""
    exchange: Exchange = request.state.exchange
    return exchange


def _request_id(inbound: str) -> str:
    return inbound if _REQUEST_ID.fullmatch(inbound) else uuid.uuid4().hex
