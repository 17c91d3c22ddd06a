"""What the OpenAPI document says of bodies that are parsed by hand and of errors."""

from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from asr_api.errors import (
    AsrError,
    DeadlineExceeded,
    EngineFailure,
    InvalidAudio,
    Overloaded,
    UnknownModel,
    UnsupportedMedia,
    UploadTimeout,
    UploadTooLarge,
)
from asr_api.http.responses import ErrorBody, ErrorResponse

_EXAMPLES: MappingProxyType[int, tuple[str, AsrError]] = MappingProxyType(
    {
        error.status: (description, error)
        for description, error in (
            ("A field or the audio cannot be served", InvalidAudio("the file is not audio or video", param="file")),
            ("No such model", UnknownModel("the model 'tiny-13' is not served here", param="model")),
            ("The body came too slowly", UploadTimeout("the body took longer than 300 s (upload_timeout)")),
            (
                "The body is too large",
                UploadTooLarge("the request body is larger than 1073741824 bytes (max_upload_bytes)"),
            ),
            ("The body is not multipart/form-data", UnsupportedMedia("the body must be multipart/form-data")),
            ("The engine failed on this audio; a retry would too", EngineFailure("the engine failed on this audio")),
            ("No room now; retry after `Retry-After` seconds", Overloaded("256 requests are in progress")),
            ("Not answered in time", DeadlineExceeded("the request took longer than 3600 s")),
        )
    }
)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses` for these statuses, each with an example of its envelope."""
    return {status: _documented(*_EXAMPLES[status]) for status in statuses}


def multipart_body(form: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of an endpoint that takes `form` as multipart/form-data."""
    schema = form.model_json_schema()
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def text_answer(example: str) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses` for an endpoint that also answers in plain text."""
    content = {"text/plain": {"schema": {"type": "string"}, "example": example}}
    return {200: {"description": "The transcript, as `response_format` asks", "content": content}}


def _documented(description: str, error: AsrError) -> dict[str, Any]:
    body = ErrorBody(message=error.message, type=error.type, param=error.param, code=error.code)
    example = ErrorResponse(error=body).model_dump()
    return {
        "model": ErrorResponse,
        "description": description,
        "content": {"application/json": {"example": example}},
    }
