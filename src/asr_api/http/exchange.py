"""One HTTP request and its answer, as the middleware and the error handlers see it."""

import re
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import MappingProxyType

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from asr_api.metrics import Endpoint, Outcome
from asr_api.trace import Trace

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

    `resources` are what the answer needs until it is sent, or the client is gone.
    """

    trace: Trace
    endpoint: Endpoint | None
    status: int | None = None
    outcome: Outcome = "ok"
    resources: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    def begin(cls, scope: Scope) -> "Exchange":
        """The exchange of an ASGI scope, kept in the scope's state for `exchange_of`."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        trace = Trace(_request_id(Headers(scope=scope).get("x-request-id", "")))
        exchange = cls(trace, AUDIO_ENDPOINTS.get((scope["method"], path)))
        scope.setdefault("state", {})["exchange"] = exchange
        return exchange


def exchange_of(request: Request) -> Exchange:
    """The exchange that a request belongs to."""
    exchange: Exchange = request.state.exchange
    return exchange


def _request_id(inbound: str) -> str:
    return inbound if _REQUEST_ID.fullmatch(inbound) else uuid.uuid4().hex
