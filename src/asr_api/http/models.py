"""The model names that requests may use, and the endpoints that tell them."""

import reprlib
from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request

from asr_api.errors import UnknownModel
from asr_api.http.dependencies import ServiceOfApp, served_info
from asr_api.http.documentation import errors
from asr_api.http.responses import ModelBody, ModelList
from asr_api.service import Service

router = APIRouter(tags=["models"])


def require_model(name: str, service: Service) -> None:
    """Raises UnknownModel unless `name` is the served model or an alias of it."""
    names = _names(service)
    if name not in names:
        others = f", also called {', '.join(names[1:])}," if names[1:] else ""
        raise UnknownModel(f"the model {reprlib.repr(name)} is not served here; {names[0]}{others} is", param="model")


@router.get("/v1/models", summary="List the models", responses=errors(503))
async def list_models(request: Request, service: ServiceOfApp) -> ModelList:
    """The served model, and OpenAI's names for it."""
    names = _names(service)
    return ModelList(object="list", data=[_body(name, request) for name in names])


@router.get("/v1/models/{model:path}", summary="Describe a model", responses=errors(404, 503))
async def retrieve_model(model: str, request: Request, service: ServiceOfApp) -> ModelBody:
    """One model, by the name that requests use."""
    require_model(model, service)
    return _body(model, request)


def _names(service: Service) -> Sequence[str]:
    return (served_info(service).model, *service.settings.model_aliases)


def _body(name: str, request: Request) -> ModelBody:
    return ModelBody(id=name, object="model", created=request.app.state.created, owned_by="asr-api")
