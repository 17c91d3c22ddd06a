"""Servers that each break the contract in one way, as the servers named here did at some time."""

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from .reference import Body, Form, Reference, Refusal


class EmptyDone(Reference):
    """speaches: the final event is made of segments that are used up."""

    def events(self, form: Form, times: list[float]) -> Iterator[Body]:
        for event in super().events(form, times):
            yield event | ({"text": ""} if "text" in event else {})


class ForbiddenKey(Reference):
    """speaches: a missing or wrong key is a 403 with `detail`."""

    def refusal_status(self, error: Refusal) -> int:
        return 403 if error.status == 401 else error.status

    def refusal_body(self, error: Refusal) -> Body:
        return {"detail": "Forbidden"}


class LanguageCode(Reference):
    """speaches: `language` is a code."""

    def verbose(self, *arguments: Any) -> Body:
        return super().verbose(*arguments) | {"language": "en"}


class NoTask(Reference):
    """speaches: `verbose_json` has no `task`."""

    def verbose(self, *arguments: Any) -> Body:
        return without(super().verbose(*arguments), "task")


class NoUsage(Reference):
    """speaches: no answer has `usage`."""

    def json(self, *arguments: Any) -> Body:
        return without(super().json(*arguments), "usage")

    def verbose(self, *arguments: Any) -> Body:
        return without(super().verbose(*arguments), "usage")


class ChatFrames(Reference):
    """vLLM: frames of a chat."""

    def events(self, form: Form, times: list[float]) -> Iterator[Body]:
        for word in self.text(times).split():
            yield {"object": "transcription.chunk", "choices": [{"delta": {"content": word}}]}


class DurationText(Reference):
    """vLLM: `duration` is a string."""

    def verbose(self, *arguments: Any) -> Body:
        body = super().verbose(*arguments)
        return body | {"duration": str(body["duration"])}


class NoWords(Reference):
    """vLLM: `words` is null."""

    def verbose(self, *arguments: Any) -> Body:
        return super().verbose(*arguments) | {"words": None}


class NullProbability(Reference):
    """vLLM: `no_speech_prob` is null."""

    def segment(self, number: int, start: float) -> Body:
        return super().segment(number, start) | {"no_speech_prob": None}


class JsonAndTextOnly(Reference):
    """vLLM, NIM and Groq: no subtitles; NIM: no `verbose_json` either."""

    def check_format(self, form: Form) -> str:
        if form.text("response_format", "json") not in ("json", "text"):
            raise Refusal(400, "response_format")
        return super().check_format(form)


class Drift(Reference):
    """vLLM: times are half a second late after each cut."""

    def segment(self, number: int, start: float) -> Body:
        return super().segment(number, start + 0.5 * round(start / 30))


class WordsLostAtCuts(Reference):
    """vLLM: two words are lost at each 30 s."""

    def text(self, times: list[float]) -> str:
        words = super().text(times).split()
        cuts = int(times[-1] // 30)
        return " ".join(words[2 * cuts :])


class WordsWithText(Reference):
    """LocalAI: a word is under `text`."""

    def word(self, number: int, text: str, start: float) -> Body:
        return {"text": text} | without(super().word(number, text, start), "word")


class PoorSegments(Reference):
    """LocalAI: segments lack half of their fields."""

    def segment(self, number: int, start: float) -> Body:
        lacking = ("seek", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob")
        return without(super().segment(number, start), *lacking)


class VerboseByDefault(Reference):
    """LocalAI: without a format the answer is verbose."""

    def json(self, form: Form, text: str, seconds: float) -> Body:
        return super().json(form, text, seconds) | {"segments": [], "duration": seconds}


class AnyTemperature(Reference):
    """LocalAI: a bad temperature is ignored."""

    def check_temperature(self, form: Form) -> None:
        pass


class WordsInSegments(Reference):
    """whisper.cpp and WhisperLive: words are in the segments."""

    def verbose(self, *arguments: Any) -> Body:
        body = super().verbose(*arguments)
        words = body.pop("words", [])
        return body | {"segments": [segment | {"words": words} for segment in body.get("segments", [])]}


class HtmlText(Reference):
    """whisper.cpp: text is said to be HTML."""

    def content_types(self) -> dict[str, str]:
        return dict.fromkeys(("text", "srt", "vtt"), "text/html")


class ErrorsAreStrings(Reference):
    """whisper.cpp and WhisperLive: an error is a string."""

    def refusal_body(self, error: Refusal) -> Body:
        return {"error": error.message}


class OtherPath(Reference):
    """whisper.cpp: another path."""

    def prefix(self) -> str:
        return "/inference"


class NoHeader(Reference):
    """WhisperLive: VTT without its first line."""

    def vtt_header(self) -> str:
        return ""


class SegmentFrames(Reference):
    """WhisperLive: frames are segments."""

    def events(self, form: Form, times: list[float]) -> Iterator[Body]:
        return (self.segment(number, start) for number, start in enumerate(times))


class AnyModel(Reference):
    """WhisperLive: the model is ignored."""

    def check_model(self, form: Form) -> None:
        pass


class FewContainers(Reference):
    """NIM: WAV, Opus and FLAC only."""

    def read(self, file: UploadFile, content: bytes) -> float:
        if not str(file.filename).endswith(("wav", "ogg", "flac")):
            raise Refusal(400, "file")
        return super().read(file, content)


class LanguageWanted(Reference):
    """NIM: a request without a language is refused."""

    def check_form(self, form: Form) -> None:
        if not form.text("language"):
            raise Refusal(400, "language")


class AddsUrl(Reference):
    """Groq: a field `url`."""

    def json(self, *arguments: Any) -> Body:
        return super().json(*arguments) | {"url": None}

    def verbose(self, *arguments: Any) -> Body:
        return super().verbose(*arguments) | {"url": None}


class StreamIgnored(Reference):
    """OpenAI's `whisper-1`: `stream` is ignored, so that a client reads nothing."""

    def _answer(self, form: Form, content: bytes, task: str) -> Any:
        form._items = [(name, value) for name, value in form._items if name != "stream"]
        return super()._answer(form, content, task)


class NamedEvents(Reference):
    """Frames with a line `event:`."""

    def frames(self, events: Iterable[Body]) -> str:
        return super().frames(events).replace("data: {", "event: delta\ndata: {")


class FailsOnBadFields(Reference):
    """speaches: a bad value of an array is a 500."""

    def refusal_status(self, error: Refusal) -> int:
        return 500

    def headers(self, request: Request) -> dict[str, str]:
        return super().headers(request) | {"x-should-retry": "true", "retry-after-ms": "1"}


class NoSlashes(Reference):
    """A route of models that takes no slash."""

    def model_route(self) -> str:
        return "/v1/models/{model}"


class SilentIds(Reference):
    """No headers of ours."""

    def headers(self, request: Request) -> dict[str, str]:
        return {}


class SpeakersIgnored(Reference):
    """What is not served is ignored."""

    def check_form(self, form: Form) -> None:
        pass


def without(body: Body, *keys: str) -> Body:
    return {key: value for key, value in body.items() if key not in keys}
