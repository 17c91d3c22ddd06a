"""The service over HTTP."""

import time

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.types import Lifespan

from asr_api import __version__
from asr_api.access import ApiKeys
from asr_api.http import envelope, models, openai, probes, transcribe
from asr_api.http.access import add_cors, add_keys, documented_access
from asr_api.http.gate import GateMiddleware
from asr_api.http.middleware import ExchangeMiddleware
from asr_api.service import Service

_DESCRIPTION = """Speech to text with Whisper, batched across requests.

Every refusal has OpenAI's error envelope; every answer has an `x-request-id`.
"""


def create_http_app(service: Service, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """The app that serves `service`; `lifespan` starts and stops what is behind it.

    The probes are elsewhere where the settings have an `admin_port` for them.
    `/docs` is served from here, not from a content network that a production host may not reach.

    Raises InvalidSettings where the API keys of the settings cannot be read.
    """
    settings = service.settings
    keys = ApiKeys.load(settings.api_keys.get_secret_value(), settings.api_keys_file)
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
    app.add_middleware(GateMiddleware, service=service)
    add_keys(app, keys, service.metrics)
    app.add_middleware(ExchangeMiddleware, service=service)
    add_cors(app, settings.cors_origins)  # outermost, so that pages can read every refusal
    access = documented_access(keys)
    for router in (transcribe.router, openai.router):
        app.include_router(router, max_body_size=settings.max_upload_bytes, **access)
    app.include_router(models.router, **access)
    app.include_router(probes.router)
    if settings.admin_port is None:
        probes.add_probes(app, service)
    return app
