"""OpenAI's clients for Python, synchronous and not, asked in the same words."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import httpx2
import openai

from tests.e2e.recordings import Recording, words

TRANSCRIBE, TRANSLATE = "audio.transcriptions.create", "audio.translations.create"


@dataclass
class Official:
    """Either of the two clients, asked in the same words; it takes no answer that does not fit its type.

    `statuses` are those of all answers, and `on_status` hears each. A stream is read to its end.
    """

    url: str
    asynchronous: bool
    key: str = "any"
    max_retries: int = 0
    timeout: float = 60
    statuses: list[int] = field(default_factory=list)
    on_status: Callable[[int], None] = lambda _: None

    def ask(self, endpoint: str, **fields: Any) -> Any:
        if self.asynchronous:
            return asyncio.run(self._ask_asynchronously(endpoint, fields))
        hooks = {"response": [self._note]}
        with openai.OpenAI(http_client=openai.DefaultHttpx2Client(event_hooks=hooks), **self._options()) as client:
            answer = attrgetter(endpoint)(client)(**fields)
            return list(answer) if isinstance(answer, openai.Stream) else answer

    async def _ask_asynchronously(self, endpoint: str, fields: dict[str, Any]) -> Any:
        async def note(response: httpx2.Response) -> None:
            await asyncio.to_thread(self._note, response)

        http_client = openai.DefaultAsyncHttpx2Client(event_hooks={"response": [note]})
        async with openai.AsyncOpenAI(http_client=http_client, **self._options()) as client:
            answer = await attrgetter(endpoint)(client)(**fields)
            return [event async for event in answer] if isinstance(answer, openai.AsyncStream) else answer

    def _options(self) -> dict[str, Any]:
        return {
            "base_url": f"{self.url}/v1",
            "api_key": self.key,
            "max_retries": self.max_retries,
            "timeout": self.timeout,
            "_strict_response_validation": True,
        }

    def _note(self, response: httpx2.Response) -> None:
        self.statuses.append(response.status_code)
        self.on_status(response.status_code)


def asked(recording: Recording, **fields: object) -> dict[str, object]:
    """The fields of a request, without those that are None."""
    given = {name: value for name, value in fields.items() if value is not None}
    return {"file": recording.path, "model": "whisper-1"} | given


def spoken(text: str) -> list[str]:
    """Words of a transcript or of subtitles, without what is no word of them."""
    lines = text.removeprefix("WEBVTT").splitlines()
    return words(" ".join(line for line in lines if "-->" not in line and not line.isdecimal()))
