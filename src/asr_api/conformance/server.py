"""The server that is checked: what is asked of it, in plain HTTP and by OpenAI's client."""

import json
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import httpx2

from asr_api.conformance.announce import announced
from asr_api.conformance.answer import Answer, text_of
from asr_api.conformance.recording import Recording
from asr_api.conformance.sdk import Sdk
from asr_api.conformance.verdict import NotChecked
from asr_api.selftest import likeness

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

ALIKE = 0.5
"""Share of the words that must be equal where the same audio is read again: another batch may round otherwise."""

TRANSCRIPTIONS, TRANSLATIONS, MODELS = "/audio/transcriptions", "/audio/translations", "/models"

Fields = tuple[tuple[str, str], ...]
Upload = tuple[str, bytes, str]


class Server:
    """A server at `api`, which ends with `/v1`, with the model and the recording that are sent to it.

    `asked` are the requests since `begin`, as a report has them. Equal requests are sent once.
    """

    def __init__(
        self, api: str, *, api_key: str | None, model: str, recording: Recording, http: httpx2.Client, sdk: Sdk
    ) -> None:
        self.api, self.api_key, self.model = api, api_key, model
        self.recording = recording
        self.sdk = sdk
        self.asked: list[str] = []
        self._http = http
        self._key = bearer(api_key)
        self._known: dict[object, Answer] = {}

    def begin(self) -> None:
        """Forget what was asked so far."""
        self.asked.clear()

    def transcribe(self, *fields: tuple[str, str], **named: str) -> Answer:
        """The answer to the recording with these fields, `named` for short."""
        return self.upload(TRANSCRIPTIONS, (*fields, *named.items()))

    def translate(self, *fields: tuple[str, str], **named: str) -> Answer:
        return self.upload(TRANSLATIONS, (*fields, *named.items()))

    def upload(
        self,
        path: str,
        fields: Fields,
        *,
        file: Upload | None = None,
        file_first: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to a form of the model, unless `fields` have one, the fields and the file."""
        model = () if any(name == "model" for name, _ in fields) else (("model", self.model),)
        texts: list[tuple[str, Any]] = [(name, (None, value)) for name, value in (*model, *fields)]
        audio = [("file", file or (self.recording.name, self.recording.content, self.recording.content_type))]
        parts = audio + texts if file_first else texts + audio
        sent = f" file={file[0]} ({len(file[1])} bytes)" if file else ""
        self.note(f"POST {path} " + " ".join(f"{name}={value}" for name, value in (*model, *fields)) + sent)
        key = (path, fields, file, file_first, json.dumps(dict(headers or {})))
        if key not in self._known:
            self._known[key] = self.send("POST", path, files=parts, headers=headers)
        return self._known[key]

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        self.note(f"GET {path}")
        return self.send("GET", path, headers=headers)

    def send(self, method: str, path: str, **request: Any) -> Answer:  # noqa: ANN401 - httpx2's options
        """Any request, with the key unless the headers have another, or an empty one."""
        headers = self._key | dict(request.pop("headers", None) or {})
        request["headers"] = {name: value for name, value in headers.items() if value}
        response = self._http.request(method, self.api + path, **request)
        return Answer(response.status_code, dict(response.headers), response.content)

    def announce(self, path: str, length: int, timeout: float) -> Answer | None:
        """The answer to a form that is said to have so many bytes, before any; None for none in `timeout` seconds."""
        self.note(f"POST {path} with content-length: {length}")
        return announced(self.api + path, length, self._key, timeout)

    def create(self, *, client: "OpenAI | None" = None, **options: Any) -> Any:  # noqa: ANN401 - as the client has it
        """`audio.transcriptions.create` of OpenAI's client, `client` or one that does not retry, with the recording."""
        client = client or self.sdk.client
        return self._called("transcriptions", client.audio.transcriptions.create, options)

    def create_translation(self, **options: Any) -> Any:  # noqa: ANN401 - as the client has it
        """`audio.translations.create` of OpenAI's client, with the recording."""
        return self._called("translations", self.sdk.client.audio.translations.create, options)

    def refusal(self, *, client: "OpenAI | None" = None, **options: Any) -> "APIStatusError":  # noqa: ANN401 - as above
        """The exception of OpenAI's client for these options. Raises Broken where there is none."""
        return self.sdk.refusal(lambda: self.create(client=client, **options))

    def _called(self, name: str, create: Callable[..., Any], options: dict[str, Any]) -> Any:  # noqa: ANN401
        said = "".join(f", {key}={value!r}" for key, value in options.items() if key != "file")
        self.note(f"client.audio.{name}.create(file=...{said})")
        file = (self.recording.name, self.recording.content, self.recording.content_type)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # OpenAI's own service ends, not the contract
            return create(**({"file": file, "model": self.model} | options))

    def note(self, request: str) -> None:
        self.asked.append(request if len(request) <= 300 else request[:297] + "...")

    @property
    def text(self) -> str:
        """The transcript in its plainest form. Raises NotChecked where nothing was heard."""
        text = text_of(self.transcribe(response_format="json").json(), "text").strip()
        if not text:
            raise NotChecked("the model hears nothing in the recording")
        return text

    @property
    def reads(self) -> bool:
        """Whether the recording's words are known and the model reads them."""
        words = self.recording.words
        return words is not None and likeness(self.text, words) >= ALIKE


def bearer(api_key: str | None) -> dict[str, str]:
    """The header of a key; none without a key."""
    return {"authorization": f"Bearer {api_key}"} if api_key else {}
