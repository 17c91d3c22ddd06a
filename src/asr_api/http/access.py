"""Who may ask over HTTP: a key for everything but the probes, and the origins that browsers may ask from."""

import time
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from asr_api.access import ApiKeys, Failures
from asr_api.errors import AsrError, InvalidApiKey, MissingApiKey, RateLimited
from asr_api.http.documentation import errors
from asr_api.http.envelope import error_response
from asr_api.http.exchange import Exchange
from asr_api.metrics import Metrics
from asr_api.metrics.labels import AuthFailure

PUBLIC = frozenset({"/livez", "/readyz"})
"""The paths that need no key: what orchestrators ask, who have none."""

ALLOWED_HEADERS = (
    "api-key",
    "authorization",
    "content-type",
    "idempotency-key",
    "openai-organization",
    "openai-project",
    "x-api-key",
    "x-request-id",
    *(
        f"x-stainless-{name}"
        for name in (
            "arch",
            "async",
            "helper-method",
            "lang",
            "os",
            "package-version",
            "raw-response",
            "read-timeout",
            "retry-count",
            "runtime",
            "runtime-version",
            "stream-helper",
            "timeout",
        )
    ),
)
"""Request headers that a page may send; `x-stainless-*` are what OpenAI's clients send of themselves."""

EXPOSED_HEADERS = (
    "openai-processing-ms",
    "retry-after",
    "server-timing",
    "x-audio-duration-seconds",
    "x-request-id",
    "x-should-retry",
)
"""Answer headers that a page may read."""


class AccessMiddleware:
    """Lets through what carries a key, and `PUBLIC`; everything else ends here, before its body is read.

    It decides by the path that the router will match, and allows by equality alone: no way of
    writing a path can make a route public. Pure ASGI, within ExchangeMiddleware.
    """

    def __init__(self, app: ASGIApp, keys: ApiKeys, failures: Failures, metrics: Metrics) -> None:
        self._app = app
        self._keys = keys
        self._failures = failures
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._responder(scope)(scope, receive, send)

    def _responder(self, scope: Scope) -> ASGIApp:
        if scope["type"] == "lifespan" or _public(scope):
            return self._app
        try:
            name = self._name(scope)
        except InvalidApiKey as error:
            return self._refusal(scope, error)
        scope.setdefault("state", {})["tenant"] = name
        return self._app

    def _name(self, scope: Scope) -> str:
        name = self._keys.name_of(_token(scope))
        if name is None:
            raise InvalidApiKey("Incorrect API key provided.")
        return name

    def _refusal(self, scope: Scope, error: AsrError) -> ASGIApp:
        client = scope.get("client")
        wait = self._failures.note(client[0] if client else "")
        kind: AuthFailure = "missing" if isinstance(error, MissingApiKey) else "bad"
        self._metrics.process.auth_failed("locked" if wait else kind)
        if scope["type"] != "http":
            return WebSocketClose(1008)
        if wait:
            error = RateLimited("too many requests without a right API key came from this address", retry_after=wait)
        exchange: Exchange = scope["state"]["exchange"]
        exchange.outcome = "client_error"
        response = error_response(error)
        response.headers["x-should-retry"] = "false"  # the same key stays wrong
        response.headers["WWW-Authenticate"] = "Bearer"
        return response


def tenant_of(connection: HTTPConnection) -> str:
    """The name of the key that a request came with, empty where none is wanted."""
    tenant: str = connection.scope.get("state", {}).get("tenant", "")
    return tenant


def documented_access(keys: ApiKeys) -> dict[str, Any]:
    """What `include_router` is told, so that the OpenAPI document has the key and its refusals."""
    bearer = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="A key that the operator gave out")
    return {"responses": errors(401, 429), "dependencies": [Depends(bearer)] if keys else []}


def add_keys(app: FastAPI, keys: ApiKeys, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
    """Want one of the keys for everything but `PUBLIC`, where there are keys."""
    if keys:
        app.add_middleware(AccessMiddleware, keys=keys, failures=Failures(clock), metrics=metrics)


def add_cors(app: FastAPI, origins: list[str]) -> None:
    """Let pages of these origins ask, where there are any; preflights carry no key and need none.

    Never with credentials, which would be cookies: a key is sent by the page itself. So `*` is safe.
    """
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=ALLOWED_HEADERS,
            expose_headers=EXPOSED_HEADERS,
        )


def _public(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["type"] == "http" and path.removeprefix(scope.get("root_path", "")) in PUBLIC


def _token(scope: Scope) -> bytes:
    """The key of a request, as `Authorization: Bearer` or as Azure's clients send it.

    Raises InvalidApiKey where there is not exactly one.
    """
    tokens = [_credential(name, value) for name, value in scope["headers"] if name in _CARRIERS]
    if len(tokens) > 1:
        raise InvalidApiKey("You provided more than one API key. Send one, in one Authorization header.")
    if not tokens or not tokens[0]:
        raise MissingApiKey(
            "You didn't provide an API key. You need to provide your API key in an Authorization header "
            "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
    return tokens[0]


_CARRIERS = frozenset({b"authorization", b"api-key", b"x-api-key"})


def _credential(name: bytes, value: bytes) -> bytes:
    """The key in one header, empty where there is none."""
    if name != b"authorization":
        return value.strip()
    scheme, _, token = value.strip().partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
