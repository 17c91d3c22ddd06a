"""The ASGI application: the HTTP layer over a service that loads while the port is already open."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from asr_api.errors import AsrError, EngineFailure
from asr_api.gpu import GpuMonitor, Nvml
from asr_api.http import create_http_app
from asr_api.pulse import Pulse
from asr_api.service import Service


def create_app(
    service: Service,
    *,
    on_failed: Callable[[AsrError], None],
    nvml: Nvml | None = None,
    pulse: Pulse | None = None,
) -> FastAPI:
    """The application of one service; `on_failed` hears why it could not be opened.

    GPUs are read through `nvml`, the real one where it is None. `pulse` beats while the application
    runs. Whoever stops the application has seen to it that nobody waits for an answer.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        monitor = GpuMonitor(service.metrics) if nvml is None else GpuMonitor(service.metrics, nvml=nvml)
        heart = pulse or Pulse(service.metrics.process.late)
        loop = asyncio.get_running_loop()
        service.metrics.process.watch_tasks(lambda: len(asyncio.all_tasks(loop)))
        monitor.start()
        heart.start()
        opening = asyncio.create_task(open_service(service, on_failed), name="open")
        try:
            yield
        finally:
            opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await opening
            await service.close(0)
            heart.stop()
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
