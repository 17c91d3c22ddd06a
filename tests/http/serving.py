"""The app behind a real socket, and a service that treats each file in its own way."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import BinaryIO

import httpx2
import uvicorn

from asr_api.http import create_http_app
from asr_api.service import Service
from asr_api.trace import Trace
from asr_api.transcription import Part, Transcription, TranscriptionOptions

from .fakes import HELLO, SEGMENTS, FakeService


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[int]:
    """A real server on a free port of this machine."""
    server = uvicorn.Server(
        uvicorn.Config(create_http_app(service), port=0, log_config=None, lifespan="off", access_log=False)
    )
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def connected(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with connections of its own to a real server."""
    async with (
        serving(service) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        yield client


async def until(condition: Callable[[], object]) -> None:
    """Return when the server has got so far."""
    while not condition():
        await asyncio.sleep(0.001)


class FilesService(FakeService):
    """Answers each file with its own bytes as text, in one segment.

    `faults` are raised for some of them after that segment was told, and the `held` wait, after it
    too, until they are released; `ended` are those that did not fail, in order, and `given_up`
    those that were cancelled.
    """

    def __init__(
        self, faults: Mapping[bytes, Exception] = MappingProxyType({}), held: Collection[bytes] = frozenset()
    ) -> None:
        super().__init__()
        self._faults = faults
        self._held = {content: asyncio.Event() for content in held}
        self.ended: list[bytes] = []
        self.given_up: list[bytes] = []

    def release(self, content: bytes) -> None:
        self._held[content].set()

    async def transcribe(
        self,
        upload: BinaryIO,
        options: TranscriptionOptions,
        trace: Trace,
        *,
        on_progress: Callable[[float, float], None] | None = None,
        on_part: Callable[[Part], None] | None = None,
        tenant: str = "",
    ) -> Transcription:
        content = upload.read()
        self.files.append(upload)
        self.tenants.append(tenant)
        self.heard.append((content, options))
        text = content.decode()
        said = replace(HELLO, text=text, duration=2.0, segments=(replace(SEGMENTS[0], text=text),))
        if on_part and on_progress:
            on_part(Part(text, "en", said.segments))
            on_progress(1.5, 2.0)
        try:
            await self._proceed(content)
        except asyncio.CancelledError:
            self.given_up.append(content)
            raise
        trace.audio_seconds = 2.0
        trace.longest("inference", len(content) / 10)
        self.ended.append(content)
        return said

    async def _proceed(self, content: bytes) -> None:
        if content in self._held:
            await self._held[content].wait()
        if content in self._faults:
            raise self._faults[content]
