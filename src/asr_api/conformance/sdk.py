"""OpenAI's own client of the server, so that what is checked is what its users see."""

import importlib
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx2

from asr_api.conformance.verdict import Broken, CannotCheck, shown

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

Load = Callable[[str], Any]


class Sdk:
    """`openai.OpenAI` for the server at `api`, which ends with `/v1`; `sent` counts its requests.

    It does not retry unless told to, so that a check sees the first answer. Raises CannotCheck
    where the package is not installed.
    """

    def __init__(self, api: str, api_key: str | None, timeout: float, load: Load = importlib.import_module) -> None:
        try:
            self._openai = load("openai")
        except ImportError as error:
            raise CannotCheck(
                "conformance is checked with OpenAI's own client; install it: pip install 'asr-api[conformance]'"
            ) from error
        self.sent = 0
        http = httpx2.Client(timeout=timeout, follow_redirects=True, event_hooks={"request": [self._count]})
        self.client: OpenAI = self._openai.OpenAI(
            base_url=api, api_key=api_key or "none", max_retries=0, http_client=http
        )

    def _count(self, request: httpx2.Request) -> None:
        self.sent += 1

    def refusal(self, call: Callable[[], object]) -> "APIStatusError":
        """The exception that a call ends with. Raises Broken where it ends well, or without a status."""
        try:
            result = call()
        except self._openai.APIStatusError as error:
            return error  # type: ignore[no-any-return]
        raise Broken(f"no exception but {shown(result)}")

    @property
    def retrying(self) -> "OpenAI":
        """The client as its users have it: with two retries."""
        return self.client.with_options(max_retries=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
