"""The page beside the API: what is under `/ui` is answered here, everything else by the application."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr_api.ui.labels import FILES
from asr_api.ui.making import Page

PATH = "/ui"

FOR_EVER = "public, max-age=31536000, immutable"
"""For Gradio's scripts, whose names change with their content."""


class PageDispatcher:
    """Hands requests for the page to its files, and all others, untouched, to `app`. Pure ASGI.

    So the API's keys, admission and metrics know nothing of the page, and the page nothing of them.
    """

    def __init__(self, app: ASGIApp, page: Page) -> None:
        self._app = app
        self._page = page_app(page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        ours = scope["type"] == "http" and (path == PATH or path.startswith(PATH + "/"))
        await (self._page if ours else self._app)(scope, receive, send)


def page_app(page: Page) -> ASGIApp:
    """Everything that can be asked for under `/ui`: GET of the page and of files in three folders."""

    async def index(_: Request) -> Response:
        headers = {
            "content-security-policy": page.policy,
            "permissions-policy": "microphone=(self), camera=(), geolocation=()",
            "cache-control": "no-cache",
        }
        return Response(page.html, media_type="text/html", headers=headers)

    async def theme(_: Request) -> Response:
        return Response(page.theme, media_type="text/css", headers={"cache-control": "no-cache"})

    async def slash(_: Request) -> Response:
        return RedirectResponse("ui/")

    routes = [
        Route(PATH, slash),
        Route(f"{PATH}/", index),
        Route(f"{PATH}/theme.css", theme),
        Mount(f"{PATH}/page", _files(FILES, "no-cache")),
        Mount(f"{PATH}/assets", _files(page.frontend / "assets", FOR_EVER)),
        Mount(f"{PATH}/static", _files(page.frontend / "static", "no-cache")),
    ]
    return _guarded(Starlette(routes=routes))


def _files(folder: Path, caching: str) -> ASGIApp:
    files = StaticFiles(directory=folder)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def cached(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (200, 304):
                MutableHeaders(scope=message)["cache-control"] = caching
            await send(message)

        await files(scope, receive, cached)

    return app


def _guarded(app: ASGIApp) -> ASGIApp:
    """The application, whose answers are taken for what they say they are, and tell nobody where they were linked."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
            await send(message)

        await app(scope, receive, labelled)

    return guarded
