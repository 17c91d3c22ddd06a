"""The model names that requests may use, and the endpoints that tell them."""

import reprlib
from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request

from asr_api.engine.protocol import EngineInfo
from asr_api.errors import UnknownModel
from asr_api.http.dependencies import ServiceOfApp, served_info
from asr_api.http.documentation import errors
from asr_api.http.responses import ModelBody, ModelList

ALIASES = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe")
"""OpenAI's names, so that its clients work unchanged; all of them mean the served model."""

router = APIRouter(tags=["models"])


def require_model(name: str, info: EngineInfo) -> None:
    """Raises UnknownModel unless `name` is the served model or an alias of it."""
    if name not in _names(info):
        raise UnknownModel(
            f"the model {reprlib.repr(name)} is not served here; {info.model!r} and OpenAI's names for it are",
            param="model",
        )


@router.get("/v1/models", summary="List the models", responses=errors(503))
async def list_models(request: Request, service: ServiceOfApp) -> ModelList:
    """The served model, and OpenAI's names for it."""
    names = _names(served_info(service))
    return ModelList(object="list", data=[_body(name, request) for name in names])


@router.get("/v1/models/{model:path}", summary="Describe a model", responses=errors(404, 503))
async def retrieve_model(model: str, request: Request, service: ServiceOfApp) -> ModelBody:
    """One model, by the name that requests use."""
    require_model(model, served_info(service))
    return _body(model, request)


def _names(info: EngineInfo) -> Sequence[str]:
    return (info.model, *ALIASES)


def _body(name: str, request: Request) -> ModelBody:
    return ModelBody(id=name, object="model", created=request.app.state.created, owned_by="asr-api")
