"""A server that keeps OpenAI's contract, in the fewest words; a test breaks one of its methods."""

import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.conformance.themes.length import PERIOD
from asr_api.errors import InvalidAudio
from asr_api.selftest import BUNDLED, sample_for
from asr_api.transcription import SAMPLE_RATE

Body = dict[str, Any]

SAMPLE = sample_for(BUNDLED)
SAID = 3.0
"""Seconds that the sample's words take."""

FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
LOGPROBS = [{"token": "juliet", "logprob": -0.1, "bytes": [106]}]
MODELS = ("owner/callsign", "callsign", "whisper-1")


class Refusal(Exception):
    """A request is refused, with the field at fault."""

    def __init__(self, status: int, param: str | None, message: str = "refused") -> None:
        self.status, self.param, self.message = status, param, message


class Form:
    """The fields of a form in any spelling."""

    def __init__(self, data: FormData) -> None:
        self._items = data.multi_items()
        file = next((value for name, value in self._items if name == "file"), None)
        if not isinstance(file, UploadFile):
            raise Refusal(400, "file")
        self.file = file

    def text(self, name: str, default: str = "") -> str:
        return next((value for key, value in self._items if key == name and isinstance(value, str)), default)

    def array(self, name: str) -> list[str]:
        values = [value for key, value in self._items if key.removesuffix("[]") == name and isinstance(value, str)]
        return [item for value in values for item in (json.loads(value) if value.startswith("[") else [value])]

    def has(self, name: str) -> bool:
        return any(key.removesuffix("[]") == name for key, _ in self._items)


class Reference:
    """Reads the sample, as often as it is said, in whatever audio it gets; `key` is the one that it wants."""

    def __init__(self, key: str | None = None) -> None:
        self.key = key
        self._requests = 0

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route(f"{self.prefix()}/audio/transcriptions", self._endpoint("transcribe"), methods=["POST"]),
                Route(f"{self.prefix()}/audio/translations", self._endpoint("translate"), methods=["POST"]),
                Route("/v1/models", self._list),
                Route(self.model_route(), self._describe),
            ],
            exception_handlers={Refusal: self._on_refusal, HTTPException: self._on_http_exception},
        )

    # What tests break.

    def prefix(self) -> str:
        return "/v1"

    def model_route(self) -> str:
        return "/v1/models/{model:path}"

    def headers(self, request: Request) -> dict[str, str]:
        self._requests += 1
        own = request.headers.get("x-request-id", f"request-{self._requests}")
        return {"x-request-id": own, "openai-processing-ms": "3"}

    def check_key(self, request: Request) -> None:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            raise Refusal(401, None, "Incorrect API key provided")

    def check_model(self, form: Form) -> None:
        if not form.text("model"):
            raise Refusal(400, "model")
        if form.text("model") not in MODELS:
            raise Refusal(404, "model")

    def check_temperature(self, form: Form) -> None:
        try:
            within = 0 <= float(form.text("temperature", "0")) <= 1
        except ValueError:
            within = False
        if not within:
            raise Refusal(400, "temperature")

    def check_form(self, form: Form) -> None:
        served = {"chunking_strategy": ("auto", ""), "language": ("en", ""), "stream": ("true", "false", "")}
        for name, values in served.items():
            value = form.text(name)
            if value not in values and not value.startswith("{"):
                raise Refusal(400, name)
        if form.has("known_speaker_names"):
            raise Refusal(400, "known_speaker_names")
        if set(form.array("include")) - {"logprobs"}:
            raise Refusal(400, "include")

    def check_format(self, form: Form) -> str:
        response_format = form.text("response_format", "json")
        if response_format not in FORMATS:
            raise Refusal(400, "response_format")
        if form.text("stream") == "true" and response_format not in ("json", "text"):
            raise Refusal(400, "stream")
        granularities = set(form.array("timestamp_granularities"))
        if granularities - {"word", "segment"} or ("word" in granularities and response_format != "verbose_json"):
            raise Refusal(400, "timestamp_granularities")
        return response_format

    def read(self, file: UploadFile, content: bytes) -> float:
        """The seconds of audio in a file."""
        try:
            return len(decode_audio(io.BytesIO(content), AudioLimits(max_seconds=300))) / SAMPLE_RATE
        except InvalidAudio as error:
            raise Refusal(400, None, str(error)) from error

    def times(self, seconds: float) -> list[float]:
        """When the sample begins, each time that it is said."""
        return [number * PERIOD for number in range(1 + int(seconds / PERIOD))]

    def text(self, times: list[float]) -> str:
        return " ".join([SAMPLE.text] * len(times))

    def segment(self, number: int, start: float) -> Body:
        numbers = {"temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.1, "no_speech_prob": 0.01}
        times = {"start": start, "end": start + SAID}
        return {"id": number, "seek": 0, **times, "text": f" {SAMPLE.text}", "tokens": [1, 2], **numbers}

    def word(self, number: int, text: str, start: float) -> Body:
        return {"word": text, "start": start + number * 0.5, "end": start + number * 0.5 + 0.4}

    def json(self, form: Form, text: str, seconds: float) -> Body:
        body: Body = {"text": text, "usage": {"type": "duration", "seconds": math.ceil(seconds)}}
        return body | ({"logprobs": LOGPROBS} if form.array("include") else {})

    def verbose(self, form: Form, times: list[float], seconds: float, task: str) -> Body:
        granularities = form.array("timestamp_granularities") or ["segment"]
        body: Body = {"task": task, "language": "english", "duration": seconds, "text": self.text(times)}
        body["usage"] = {"type": "duration", "seconds": math.ceil(seconds)}
        if "segment" in granularities:
            body["segments"] = [self.segment(number, start) for number, start in enumerate(times)]
        if "word" in granularities:
            words = list(enumerate(SAMPLE.text.split()))
            body["words"] = [self.word(number, word, start) for start in times for number, word in words]
        return body

    def vtt_header(self) -> str:
        return "WEBVTT\n\n"

    def content_types(self) -> Mapping[str, str]:
        return {"text": "text/plain", "srt": "text/plain", "vtt": "text/vtt"}

    def events(self, form: Form, times: list[float]) -> Iterator[Body]:
        extra: Body = {"logprobs": LOGPROBS} if form.array("include") else {}
        for number, _ in enumerate(times):
            yield {"type": "transcript.text.delta", "delta": (" " if number else "") + SAMPLE.text, **extra}
        yield {"type": "transcript.text.done", "text": self.text(times), **extra}

    def frames(self, events: Iterable[Body]) -> str:
        return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"

    def refusal_body(self, error: Refusal) -> Body:
        kind = {"type": "invalid_request_error", "param": error.param, "code": f"code_{error.status}"}
        return {"error": {"message": error.message, **kind}}

    def refusal_status(self, error: Refusal) -> int:
        return error.status

    # What they do not.

    def _endpoint(self, task: str) -> Any:
        async def endpoint(request: Request) -> Response:
            self.check_key(request)
            if float(request.headers.get("content-length", 0)) > 1 << 30:
                raise Refusal(413, None)
            if not request.headers.get("content-type", "").startswith("multipart/form-data"):
                raise Refusal(415, None)
            async with request.form() as data:
                form = Form(data)
                response = self._answer(form, await form.file.read(), task)
            response.headers.update(self.headers(request))
            return response

        return endpoint

    def _answer(self, form: Form, content: bytes, task: str) -> Response:
        self.check_model(form)
        self.check_temperature(form)
        self.check_form(form)
        response_format = self.check_format(form)
        seconds = self.read(form.file, content)
        times = self.times(seconds)
        if form.text("stream") == "true":
            return Response(self.frames(self.events(form, times)), media_type="text/event-stream")
        if response_format == "json":
            return JSONResponse(self.json(form, self.text(times), seconds))
        if response_format == "verbose_json":
            return JSONResponse(self.verbose(form, times, seconds, task))
        bodies = {"text": self.text(times), "srt": _cues(times, ","), "vtt": self.vtt_header() + _cues(times, ".")}
        return Response(bodies[response_format], media_type=self.content_types()[response_format])

    async def _list(self, request: Request) -> Response:
        self.check_key(request)
        data = [_model(name) for name in MODELS]
        return JSONResponse({"object": "list", "data": data}, headers=self.headers(request))

    async def _describe(self, request: Request) -> Response:
        self.check_key(request)
        if request.path_params["model"] not in MODELS:
            raise Refusal(404, "model")
        return JSONResponse(_model(request.path_params["model"]), headers=self.headers(request))

    async def _on_refusal(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        headers = {"x-should-retry": "false"} | self.headers(request)
        return JSONResponse(self.refusal_body(error), self.refusal_status(error), headers=headers)

    async def _on_http_exception(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = {"message": error.detail, "type": "invalid_request_error", "param": None, "code": "http"}
        return JSONResponse({"error": body}, error.status_code)


def _model(name: str) -> Body:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "tests"}


def _cues(times: list[float], mark: str) -> str:
    lines = (f"{_time(start, mark)} --> {_time(start + SAID, mark)}\n{SAMPLE.text}\n\n" for start in times)
    return "".join(f"{number}\n{line}" for number, line in enumerate(lines, 1))


def _time(seconds: float, mark: str) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"00:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
