"""The gate: a request for which there is no room is refused before anything is made of it."""

from starlette.types import ASGIApp, Receive, Scope, Send

from asr_api.errors import AsrError
from asr_api.http.envelope import error_response
from asr_api.http.exchange import Exchange
from asr_api.service import Service


class GateMiddleware:
    """Asks whether there is room for a request about audio, and lets it pass or answers it at once.

    That a request passes is no promise: its place is taken when its body is about to be read. What is
    saved is the routing, which costs more than all the rest of a refusal, when there are most of them.
    Pure ASGI, within AccessMiddleware, which says whose the request is.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._responder(scope)(scope, receive, send)

    def _responder(self, scope: Scope) -> ASGIApp:
        state = scope.get("state", {})
        exchange: Exchange | None = state.get("exchange")
        if exchange is None or exchange.endpoint is None:
            return self._app
        try:
            self._service.check(state.get("tenant", ""))
        except AsrError as error:
            exchange.fail(error)
            return error_response(error)
        return self._app
