"""The way to a server: what must be there before anything can be checked."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

import httpx2

from asr_api.conformance.recording import Recording
from asr_api.conformance.sdk import Sdk
from asr_api.conformance.server import MODELS, Server, bearer
from asr_api.conformance.verdict import CannotCheck

TIMEOUT = 600.0
"""Seconds for one answer: what OpenAI's client waits."""


class Connection:
    """A server that answers, with the clients that reach it; closed at the end of the context.

    `url` may end with `/v1`. Raises CannotCheck where OpenAI's client is not installed.
    """

    def __init__(self, url: str, api_key: str | None, timeout: float = TIMEOUT) -> None:
        self.api = url.rstrip("/").removesuffix("/v1") + "/v1"
        self.api_key = api_key
        self._open = ExitStack()
        self.sdk = self._open.enter_context(Sdk(self.api, api_key, timeout))
        self.http = self._open.enter_context(httpx2.Client(timeout=httpx2.Timeout(timeout, connect=5)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def models(self) -> list[str]:
        """The ids that the server lists; none where it has no list that can be read.

        Raises CannotCheck where nobody answers, or only to another key.
        """
        try:
            response = self.http.get(self.api + MODELS, headers=bearer(self.api_key))
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise CannotCheck(f"{self.api!r} is not a URL such as http://127.0.0.1:8000") from error
        except httpx2.RequestError as error:
            raise CannotCheck(f"no server answers at {self.api}") from error
        if response.status_code in (401, 403):
            raise CannotCheck(f"{self.api} wants a key, or another one: --api-key")
        try:
            return [str(model["id"]) for model in response.json()["data"]]
        except (ValueError, LookupError, TypeError):
            return []

    def server(self, model: str, recording: Recording) -> Server:
        return Server(self.api, api_key=self.api_key, model=model, recording=recording, http=self.http, sdk=self.sdk)
