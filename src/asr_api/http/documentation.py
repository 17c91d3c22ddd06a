"""What the OpenAPI document says of bodies that are parsed by hand and of errors."""

from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from asr_api.errors import (
    AsrError,
    DeadlineExceeded,
    EngineFailure,
    InvalidApiKey,
    InvalidAudio,
    Overloaded,
    RateLimited,
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
            ("No API key, or a wrong one, where the server wants one", InvalidApiKey("Incorrect API key provided.")),
            ("No such model", UnknownModel("the model 'tiny-13' is not served here", param="model")),
            ("The body came too slowly", UploadTimeout("the body took longer than 300 s (upload_timeout)")),
            (
                "The body is too large",
                UploadTooLarge("the request body is larger than 1073741824 bytes (max_upload_bytes)"),
            ),
            ("The body is not multipart/form-data", UnsupportedMedia("the body must be multipart/form-data")),
            (
                "This key has as much in progress as one may have; retry after `Retry-After` seconds",
                RateLimited("with this API key 8 requests are in progress, which is the limit"),
            ),
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


_TEXT = {"schema": {"type": "string"}, "example": "Ask not what your country can do for you."}
_SRT = {"schema": {"type": "string"}, "example": "1\n00:00:00,320 --> 00:00:02,860\nAsk not what your country\n\n"}
_VTT = {"schema": {"type": "string"}, "example": "WEBVTT\n\n00:00:00.320 --> 00:00:02.860\nAsk not what\n\n"}


_EVENT = {
    "type": "object",
    "description": "One server-sent event; `data` is JSON, or `[DONE]` after the last",
    "required": ["data"],
    "properties": {"data": {"type": "string", "contentMediaType": "application/json"}},
}
_LINE = {"type": "object", "description": "One line", "required": ["type", "file"]}


_WORDS = "And so my fellow Americans, ask not what your country can do for you."
_OPENAI_JSON = {"text": _WORDS, "usage": {"type": "duration", "seconds": 11}}
_OUR_JSON = {
    "text": _WORDS,
    "language": "en",
    "language_probability": 0.957,
    "language_probabilities": {"en": 0.957, "es": 0.006, "pt": 0.005},
    "duration": 11.0,
    "task": "transcribe",
    "model": "large-v3",
    "timing": {"upload": 0.001, "decode": 0.03, "queue": 0.002, "inference": 0.21},
}


def openai_answers(*, stream: bool) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses` for OpenAI's endpoints: subtitles are plain text there."""
    content: dict[str, Any] = {
        "application/json": {"example": _OPENAI_JSON if stream else {"text": _WORDS}},
        "text/plain": _TEXT,
    }
    if stream:
        example = 'data: {"type":"transcript.text.delta","delta":"Ask not"}\n\ndata: [DONE]\n\n'
        content["text/event-stream"] = {"schema": _EVENT, "example": example}
    return {200: {"description": "The transcript, as `response_format` and `stream` ask", "content": content}}


def our_answers() -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses` for our endpoint."""
    event = '{"type":"progress","file":0,"seconds":2.5,"duration":11.0}\n'
    content = {
        "application/json": {"example": _OUR_JSON},
        "text/plain": _TEXT,
        "application/x-subrip": _SRT,
        "text/vtt": _VTT,
        "application/x-ndjson": {"schema": _LINE, "example": event},
        "text/event-stream": {"schema": _EVENT, "example": f"data: {event}\n"},
    }
    return {200: {"description": "The transcript, as `response_format` and `stream` ask", "content": content}}


def _documented(description: str, error: AsrError) -> dict[str, Any]:
    body = ErrorBody(message=error.message, type=error.type, param=error.param, code=error.code)
    example = ErrorResponse(error=body).model_dump()
    return {
        "model": ErrorResponse,
        "description": description,
        "content": {"application/json": {"example": example}},
    }
