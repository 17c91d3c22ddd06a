"""The fields of a transcription request: their wire spellings, values and defaults."""

import reprlib
from dataclasses import fields, replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError, from_json
from starlette.datastructures import FormData, UploadFile

from asr_api.errors import InvalidRequest
from asr_api.http.languages import language_code
from asr_api.transcription import AudioOptions, Task, TranscriptionOptions

ResponseFormat = Literal["json", "text", "verbose_json"]
Granularity = Literal["segment", "word"]

MAX_PROMPT = 4096
"""Characters of a prompt at most; Whisper itself keeps the last 223 tokens of it."""

MAX_MS = 10_000
"""Milliseconds of padding or silence at most: the front end holds so much more audio in memory."""

AUDIO_FIELDS = frozenset(field.name for field in fields(AudioOptions))

_ARRAYS = frozenset({"timestamp_granularities"})
_CODES = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}
_SHOWN = 64


class TranscriptionForm(BaseModel):
    """The fields that both endpoints take."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    file: Annotated[
        UploadFile,
        WithJsonSchema({"type": "string", "format": "binary"}),
        Field(description="Audio or video in any format that FFmpeg reads; told by its content, not by its name"),
    ]
    model: str = Field("", max_length=256, description="The served model's name, or OpenAI's name for one")
    language: str = Field(
        "", max_length=32, description="ISO-639-1 code, as `en`, or English name; detected where it is left out"
    )
    prompt: str = Field("", max_length=MAX_PROMPT, description="Text before the audio, for its style and names")
    temperature: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False, description="0: the most likely text, sampled only where that fails"
    )
    response_format: ResponseFormat = Field("json", description="What the answer is")
    timestamp_granularities: tuple[Granularity, ...] = Field(
        ("segment",), description="What `verbose_json` has the times of; also spelt `timestamp_granularities[]`"
    )
    stream: bool = Field(False, description="Only `false` is served")

    @field_validator("timestamp_granularities")
    @classmethod
    def _words_need_verbose_json(cls, value: tuple[Granularity, ...], info: ValidationInfo) -> tuple[Granularity, ...]:
        if "word" in value and info.data.get("response_format") != "verbose_json":
            raise PydanticCustomError("words_unserved", "words are served with response_format=verbose_json only")
        return value

    @field_validator("stream")
    @classmethod
    def _no_stream(cls, value: bool) -> bool:
        if value:
            raise PydanticCustomError("stream_unserved", "streaming is not served; send false or leave it out")
        return value

    @property
    def words(self) -> bool:
        return "word" in self.timestamp_granularities

    @property
    def segments(self) -> bool:
        return "segment" in self.timestamp_granularities

    @property
    def asked_task(self) -> Task:
        return "transcribe"

    def options(self, languages: tuple[str, ...]) -> TranscriptionOptions:
        """What the form asks for. Raises InvalidRequest where its language is none of `languages`."""
        language = language_code(self.language)
        if language and language not in languages:
            raise InvalidRequest(
                f"language={reprlib.repr(self.language)}: not a language of the served model; "
                "send a code such as 'en', or leave it out",
                param="language",
                code="invalid_value",
            )
        return TranscriptionOptions(
            task=self.asked_task,
            language=language or None,
            prompt=self.prompt or None,
            temperature=self.temperature,
            timestamps=self.response_format == "verbose_json",
        )


class OpenAIForm(TranscriptionForm):
    """The fields of OpenAI's endpoint."""

    model: str = Field(
        max_length=256, description="The served model's name, or OpenAI's name for one", examples=["whisper-1"]
    )


class TranscribeForm(TranscriptionForm):
    """The fields of our endpoint."""

    task: Task = Field("transcribe", description="`translate` writes English, whatever is spoken")
    hotwords: str = Field("", max_length=MAX_PROMPT, description="Names and terms that are likely to be said")
    max_segment_seconds: float = Field(
        7.0, ge=1, le=30, allow_inf_nan=False, description="Seconds that a segment of `verbose_json` lasts at most"
    )
    max_line_width: int = Field(42, ge=10, le=200, description="Characters of a subtitle line; a segment has two")

    vad: bool = Field(True, description="Leave out what is not speech; without it all of the audio is transcribed")
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="Probability from which audio counts as speech; the service's setting where it is left out",
    )
    prefix_padding_ms: int = Field(400, ge=0, le=MAX_MS, description="Milliseconds kept before speech")
    silence_duration_ms: int = Field(160, ge=0, le=MAX_MS, description="Milliseconds of silence that end speech")
    denoise: bool = Field(False, description="Take steady noise out first: hiss, a fan, a motor")
    normalize: bool = Field(False, description="Bring quiet voices up first, so that they are found")

    @property
    def asked_task(self) -> Task:
        return self.task

    def options(self, languages: tuple[str, ...]) -> TranscriptionOptions:
        return replace(
            super().options(languages),
            hotwords=self.hotwords or None,
            max_segment_seconds=self.max_segment_seconds,
            max_line_width=self.max_line_width,
            audio=AudioOptions(**self.model_dump(include=set(AUDIO_FIELDS))),
        )


F = TypeVar("F", bound=TranscriptionForm)


def parse_form(form_type: type[F], data: FormData) -> F:
    """The form in `data`: parts in any order, arrays as `x`, `x[]`, repeated, JSON or with commas.

    An empty text counts as absent. Raises InvalidRequest, which names the field at fault.
    """
    try:
        return form_type.model_validate(_values(data))
    except ValidationError as error:
        raise _refusal(form_type, error.errors()[0]) from error


def _values(data: FormData) -> dict[str, object]:
    values: dict[str, Any] = {}
    for name, value in data.multi_items():
        array = name.removesuffix("[]")
        if value in ("", "[]"):
            continue
        if array in _ARRAYS:
            values[array] = [*values.get(array, []), *_items(value)]
        elif name in values:
            raise _repeated(name)
        else:
            values[name] = value
    return values


def _items(value: str | UploadFile) -> list[object]:
    if not isinstance(value, str):
        return [value]
    if not value.startswith("["):
        return [item.strip() for item in value.split(",")]
    try:
        return list(from_json(value))
    except ValueError:
        return [value]


def _repeated(name: str) -> InvalidRequest:
    code = "multiple_files" if name == "file" else "invalid_value"
    return InvalidRequest(f"{name[:_SHOWN]} is sent more than once", param=name[:_SHOWN], code=code)


def _refusal(form_type: type[TranscriptionForm], fault: ErrorDetails) -> InvalidRequest:
    param, kind, value = str(fault["loc"][0])[:_SHOWN], fault["type"], fault["input"]
    code = _CODES.get(kind, "invalid_value")
    if kind == "missing":
        code = "missing_file" if param == "file" else code
        return InvalidRequest(f"the field {param} is missing", param=param, code=code)
    if kind == "extra_forbidden":
        taken = ", ".join(form_type.model_fields)
        return InvalidRequest(f"{param} is not a field of this endpoint, which takes {taken}", param=param, code=code)
    if param == "file":
        return InvalidRequest("file must be a file part with a filename, not text", param=param, code="invalid_file")
    shown = reprlib.repr(value) if isinstance(value, str | int | float | bool) else "it"
    return InvalidRequest(f"{param}={shown}: {_sentence(fault['msg'])}", param=param, code=code)


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:]
