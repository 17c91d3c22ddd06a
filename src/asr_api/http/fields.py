"""The fields that several forms have: their values, spellings and descriptions."""

import reprlib
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.datastructures import UploadFile

from asr_api.errors import InvalidRequest
from asr_api.http.languages import language_code
from asr_api.http.spelling import Array, Files, Object, Spelling
from asr_api.transcription import AudioOptions

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
Granularity = Literal["segment", "word"]
Stream = Literal["ndjson", "sse"]

TIMED_FORMATS: frozenset[ResponseFormat] = frozenset({"srt", "verbose_json", "vtt"})
"""The formats that tell when something is said."""

MAX_PROMPT = 4096
"""Characters of a prompt at most; Whisper itself keeps the last 223 tokens of it."""

MAX_MS = 10_000
"""Milliseconds of padding or silence at most: the front end holds so much more audio in memory."""


def _no_diarization(value: object) -> object:
    if value == "diarized_json":
        raise PydanticCustomError(
            "diarization_unserved",
            "diarization is not served; send 'json', 'text', 'srt', 'vtt' or 'verbose_json'",
        )
    return value


def _literal(keyword: str) -> str:
    if not keyword.strip() or len(keyword.splitlines()) > 1 or set(keyword) & set("<>\r\n"):
        raise PydanticCustomError("keyword_unserved", "a keyword is one line of text without '<' and '>'")
    return keyword.strip()


def _hotwords(keywords: tuple[str, ...]) -> tuple[str, ...]:
    if sum(map(len, keywords)) > MAX_PROMPT:
        raise PydanticCustomError("keywords_too_long", f"keywords may have {MAX_PROMPT} characters, all together")
    return keywords


def _strategy(value: object) -> str | None:
    """Which of the two kinds of chunking strategy a value is."""
    if isinstance(value, dict | VadConfig):
        return "server_vad"
    return "auto" if value == "auto" else None


def _kind_of_stream(value: object) -> object:
    """`true` is a stream of lines, `false` none."""
    word = value.lower() if isinstance(value, str) else value
    if word in ("true", "1", "yes", "on", "t", "y"):
        return "ndjson"
    if word in ("false", "0", "no", "off", "f", "n"):
        return None
    if word not in ("ndjson", "sse"):
        raise PydanticCustomError("stream_unserved", "input should be a boolean, 'ndjson' or 'sse'")
    return word


class VadConfig(BaseModel):
    """OpenAI's object of how voice activity is detected, with its defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    type: Literal["server_vad"]
    prefix_padding_ms: int = Field(300, ge=0, le=MAX_MS, description="Milliseconds kept before speech")
    silence_duration_ms: int = Field(200, ge=0, le=MAX_MS, description="Milliseconds of silence that end speech")
    threshold: float = Field(0.5, ge=0, le=1, description="Probability from which audio counts as speech")

    @property
    def options(self) -> AudioOptions:
        return AudioOptions(
            threshold=self.threshold,
            prefix_padding_ms=self.prefix_padding_ms,
            silence_duration_ms=self.silence_duration_ms,
        )


_BINARY = {"type": "string", "format": "binary"}
_ANY_FORMAT = "Audio or video in any format that FFmpeg reads; told by its content, not by its name"

OneFile = Annotated[
    tuple[UploadFile, ...],
    Files(),
    Field(alias="file", max_length=1, description=_ANY_FORMAT),
    WithJsonSchema(_BINARY),
]
ManyFiles = Annotated[
    tuple[UploadFile, ...],
    Files(aliases=("files",)),
    Field(alias="file", description=f"{_ANY_FORMAT}. May be repeated; also spelt `file[]`, `files`, `files[]`"),
    WithJsonSchema({"type": "array", "items": _BINARY, "minItems": 1}),
]
Model = Annotated[
    str,
    Field(max_length=256, description="The served model's name, or OpenAI's name for one", examples=["whisper-1"]),
]
Language = Annotated[
    str,
    Field(
        max_length=32,
        description="ISO-639-1 code, as `en`, or English name; detected where it is left out",
        examples=["en", "german"],
    ),
]
Multilingual = Annotated[
    bool,
    Field(
        description="Detect the language anew after every pause of 0.3 s, for audio in which it changes; "
        "not with `language`",
        examples=[True],
    ),
]
Languages = Annotated[
    tuple[Annotated[str, Field(max_length=32)], ...],
    Array(),
    Field(
        description="One language, as in `language`. Several are refused: leave them out to have the language detected",
        examples=[["en"]],
    ),
]
Keywords = Annotated[
    tuple[Annotated[str, AfterValidator(_literal)], ...],
    Array(commas=False),
    AfterValidator(_hotwords),
    Field(
        description="Names and terms that are likely to be said, each one line without `<` and `>`",
        examples=[["Digium", "Asterisk"]],
    ),
]
Prompt = Annotated[
    str,
    Field(
        max_length=MAX_PROMPT,
        description="Text before the audio, for its style and names",
        examples=["The annual report of the Digium company."],
    ),
]
InitialPrompt = Annotated[
    Prompt,
    Spelling(aliases=("initial_prompt",)),
    Field(description="Text before the audio, for its style and names; also spelt `initial_prompt`"),
]
Hotwords = Annotated[
    str,
    Field(
        max_length=MAX_PROMPT,
        description="Names and terms that are likely to be said",
        examples=["Digium, Asterisk"],
    ),
]
Format = Annotated[
    ResponseFormat,
    BeforeValidator(_no_diarization),
    Field(description="What the answer is; `srt` and `vtt` are subtitles", examples=["verbose_json"]),
]
Temperature = Annotated[
    float,
    Field(ge=0, le=1, description="0: the most likely text, sampled only where that fails", examples=[0.0]),
]
Granularities = Annotated[
    tuple[Granularity, ...],
    Array(),
    Field(
        description="What has times; `segment` where nothing is said, and `word` alone leaves the segments out",
        examples=[["word", "segment"]],
    ),
]
Include = Annotated[
    tuple[Literal["logprobs"], ...],
    Array(null=True),
    Field(
        description="`logprobs`: each token's log probability, with `response_format=json` only",
        examples=[["logprobs"]],
    ),
]
InLines = Annotated[
    Stream | None,
    BeforeValidator(_kind_of_stream),
    Spelling(null=True),
    Field(
        description="Send segments as they finish: as lines of JSON (`ndjson`, also `true`) or as server-sent events "
        "(`sse`); with `json` and `verbose_json` only",
        examples=["ndjson", True],
    ),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["ndjson", "sse"]}, {"type": "null"}]}),
]
ChunkingStrategy = Annotated[
    Annotated[Literal["auto"], Tag("auto")] | Annotated[VadConfig, Tag("server_vad")],
    Discriminator(
        _strategy,
        custom_error_type="strategy_unserved",
        custom_error_message="send 'auto' or an object with type=server_vad",
    ),
]
OptionalChunkingStrategy = Annotated[
    ChunkingStrategy | None,
    Object(null=True),
    Field(
        description="How speech is found: `auto` levels the loudness first, an object sets the detector. "
        "Also spelt `chunking_strategy[type]=server_vad`, `chunking_strategy[threshold]=0.5`, ...",
        examples=["auto", {"type": "server_vad", "threshold": 0.4}],
    ),
    WithJsonSchema({"anyOf": [{"const": "auto", "type": "string"}, VadConfig.model_json_schema(), {"type": "null"}]}),
]


def served_language(text: str, served: tuple[str, ...], param: str = "language") -> str | None:
    """The code of a language by its code or name, None for no text. Raises InvalidRequest if it is not `served`."""
    code = language_code(text)
    if code and code not in served:
        raise InvalidRequest(
            f"{param}={reprlib.repr(text)}: not a language of the served model; "
            "send a code such as 'en', or leave it out",
            param=param,
            code="invalid_value",
        )
    return code or None
