"""A client of a running server: sends one file, brings its transcript."""

import io
from collections.abc import Callable
from pathlib import Path

import httpx2
from pydantic import BaseModel, ValidationError

from asr_api.errors import AsrError
from asr_api.transcription import Task

CONNECT_TIMEOUT = 5.0
"""Seconds to reach the server; the transcription itself may take as long as the server lets it."""


class ClientError(AsrError):
    """No transcript: the file cannot be read, the server cannot be reached, or it refused."""

    default_code = "client_error"


class _ErrorBody(BaseModel):
    message: str
    code: str | None = None
    param: str | None = None


class _Envelope(BaseModel):
    error: _ErrorBody


class _Upload(io.FileIO):
    """A file that tells (bytes read, bytes in all) as it is sent."""

    def __init__(self, path: Path, on_upload: Callable[[int, int], None] | None) -> None:
        super().__init__(path, "rb")
        self._size = path.stat().st_size
        self._on_upload = on_upload

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(-1 if size is None else size)
        if self._on_upload:
            self._on_upload(self.tell(), self._size)
        return chunk


def transcribe_file(
    server: str,
    path: Path,
    *,
    response_format: str = "text",
    language: str | None = None,
    multilingual: bool = False,
    prompt: str | None = None,
    task: Task = "transcribe",
    temperature: float = 0.0,
    api_key: str | None = None,
    on_upload: Callable[[int, int], None] | None = None,
) -> str:
    """The body of the server's answer for the file at `path`, as `response_format` has it.

    `server` is the server's URL; `api_key` is sent as bearer token, for a proxy before it that
    wants one; `on_upload` hears (bytes sent, bytes in all) as the file goes. Raises ClientError,
    whose message is one sentence and, where the server refused, the server's own.
    """
    fields = {"response_format": response_format, "task": task, "temperature": str(temperature)}
    fields |= {name: text for name, text in (("language", language), ("prompt", prompt)) if text}
    fields |= {"multilingual": "true"} if multilingual else {}
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        with _Upload(path, on_upload) as upload:
            response = _post(server, fields, upload, headers)
    except OSError as error:
        raise ClientError(f"{path} cannot be read: {error.strerror or error}") from error
    if response.is_success:
        return response.text
    raise _refusal(server, response)


def _post(server: str, fields: dict[str, str], upload: _Upload, headers: dict[str, str]) -> httpx2.Response:
    """The file's own name is not sent: the server tells formats by content, and names may be private."""
    files = {"file": ("audio", upload, "application/octet-stream")}
    timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT)
    try:
        return httpx2.post(
            f"{server.rstrip('/')}/transcribe", data=fields, files=files, headers=headers, timeout=timeout
        )
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise ClientError(f"{server!r} is not a URL such as http://127.0.0.1:8000") from error
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise ClientError(f"no server at {server}") from error
    except httpx2.RequestError as error:
        raise ClientError(f"{server} did not answer: {error or type(error).__name__}") from error


def _refusal(server: str, response: httpx2.Response) -> ClientError:
    try:
        error = _Envelope.model_validate_json(response.content).error
    except ValidationError:
        return ClientError(f"{server} answered {response.status_code} {response.reason_phrase}".rstrip())
    return ClientError(error.message, code=error.code, param=error.param)
