"""The service over HTTP."""

import time

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.types import Lifespan

from asr_api import __version__
from asr_api.http import envelope, models, probes, transcriptions
from asr_api.http.middleware import ExchangeMiddleware
from asr_api.service import Service

_DESCRIPTION = """Speech to text with Whisper, batched across requests.

Every refusal has OpenAI's error envelope; every answer has an `x-request-id`.
"""


def create_http_app(service: Service, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """The app that serves `service`; `lifespan` starts and stops what is behind it.

    `/docs` is served from here, not from a content network that a production host may not reach.
    """
    app = FastAPIOffline(
        title="asr-api",
        version=__version__,
        description=_DESCRIPTION,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service, app.state.created = service, int(time.time())
    envelope.install(app)
    app.add_middleware(ExchangeMiddleware, service=service)
    app.include_router(transcriptions.router, max_body_size=service.settings.max_upload_bytes)
    app.include_router(models.router)
    app.include_router(probes.router)
    return app
