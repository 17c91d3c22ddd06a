"""The ASGI application: the HTTP layer over a service that loads while the port is already open."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from asr_api.errors import AsrError, EngineFailure
from asr_api.gpu import GpuMonitor
from asr_api.http import create_http_app
from asr_api.service import Service


def create_app(service: Service, *, on_failed: Callable[[AsrError], None]) -> FastAPI:
    """The application of one service; `on_failed` hears why it could not be opened."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        monitor = GpuMonitor(service.metrics)
        monitor.start()
        opening = asyncio.create_task(open_service(service, on_failed), name="open")
        try:
            yield
        finally:
            opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await opening
            await service.close()
            monitor.close()

    return create_http_app(service, lifespan=lifespan)


async def open_service(service: Service, on_failed: Callable[[AsrError], None]) -> None:
    try:
        await service.open()
    except AsrError as error:
        on_failed(error)
    except Exception as error:
        failure = EngineFailure(f"the service could not start: {error!r}")
        failure.__cause__ = error
        on_failed(failure)
