"""What the routes are handed: the service of their app, and its model."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from asr_api.engine.protocol import EngineInfo
from asr_api.errors import Overloaded
from asr_api.service import Service


async def service_of(request: Request) -> Service:
    """The service that the app was made with."""
    service: Service = request.app.state.service
    return service


ServiceOfApp = Annotated[Service, Depends(service_of)]


def served_info(service: Service) -> EngineInfo:
    """What is served. Raises Overloaded (`engine_loading`) while there is nothing yet."""
    if service.info is None:
        raise Overloaded("the model is still loading", code="engine_loading", reason="engine", retry_after=5)
    return service.info
