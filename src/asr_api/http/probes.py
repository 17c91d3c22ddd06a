"""What orchestrators and Prometheus ask, on the API's port or one of its own, and the way to the documentation."""

from collections.abc import Callable

from fastapi import APIRouter, FastAPI
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from asr_api.http.dependencies import ServiceOfApp
from asr_api.http.responses import Status
from asr_api.pulse import Pulse
from asr_api.service import Service

router = APIRouter(tags=["service"])
probes = APIRouter(tags=["service"])


@probes.get("/livez", summary="Is the process alive?", responses={503: {"model": Status, "description": "Restart it"}})
async def livez(request: Request, service: ServiceOfApp, response: Response) -> Status:
    """200 however much there is to do; 503 when the engine has failed for good or the process hangs,
    and should be restarted.
    """
    alive: Callable[[], bool] = request.app.state.alive
    status = "failed" if service.state == "failed" else "ok" if alive() else "hangs"
    response.status_code = 200 if status == "ok" else 503
    return Status(status=status)


@probes.get("/readyz", summary="Does it take requests?", responses={503: {"model": Status, "description": "Not now"}})
async def readyz(service: ServiceOfApp, response: Response) -> Status:
    """200 while requests are taken; 503 while the model loads, at shutdown, after a failure, and while
    the spool is nearly full.
    """
    status = "storage_nearly_full" if service.state == "ready" and service.spool.nearly_full else service.state
    response.status_code = 200 if status == "ready" else 503
    return Status(status=status)


@probes.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(request: Request, service: ServiceOfApp) -> Response:
    """In Prometheus' text format, or OpenMetrics where `Accept` asks for it."""
    try:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
    except (TypeError, ValueError):  # what prometheus-client 0.26 makes of a version that is no number
        encode, content_type = choose_encoder("")
    return Response(encode(service.metrics.registry), headers={"content-type": content_type})


@router.get("/", include_in_schema=False)
async def root(request: Request) -> RedirectResponse:
    """The documentation, where people who open the address in a browser want to be."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")


def add_probes(app: FastAPI, service: Service, alive: Callable[[], bool] = lambda: True) -> None:
    """Answer probes of a service; `alive` says whether its event loop runs, which on that loop is plain."""
    app.state.service, app.state.alive = service, alive
    app.include_router(probes)


def create_admin_app(service: Service, pulse: Pulse) -> FastAPI:
    """The probes and nothing else, for an event loop other than that of the service and its pulse. They
    only read, which any thread may.
    """
    app = FastAPI(openapi_url=None)
    add_probes(app, service, lambda: pulse.alive)
    return app
