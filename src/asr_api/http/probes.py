"""What orchestrators and Prometheus ask, and the way to the documentation."""

from fastapi import APIRouter
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from asr_api.http.dependencies import ServiceOfApp
from asr_api.http.responses import Status

router = APIRouter(tags=["service"])


@router.get("/livez", summary="Is the process alive?")
async def livez() -> Status:
    """Always `ok`: a process that cannot say so should be restarted."""
    return Status(status="ok")


@router.get("/readyz", summary="Does it take requests?", responses={503: {"model": Status, "description": "Not now"}})
async def readyz(service: ServiceOfApp, response: Response) -> Status:
    """200 while requests are taken; 503 while the model loads, at shutdown, after a failure, and while
    the spool is nearly full.
    """
    status = "storage_nearly_full" if service.state == "ready" and service.spool.nearly_full else service.state
    response.status_code = 200 if status == "ready" else 503
    return Status(status=status)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
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
