"""The fields of the three endpoints that take audio: their values, defaults and what they ask for."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Annotated, ClassVar, TypeVar

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from starlette.datastructures import FormData, UploadFile

from asr_api.http.engine_fields import (
    BeamSize,
    CompressionRatioThreshold,
    Denoise,
    Ladder,
    LengthPenalty,
    LogProbThreshold,
    MaxNewTokens,
    NoRepeatNgramSize,
    Normalize,
    NoSpeechThreshold,
    Patience,
    PrefixPadding,
    RepetitionPenalty,
    SilenceDuration,
    SuppressBlank,
    SuppressTokens,
    Threshold,
    Vad,
)
from asr_api.http.fields import (
    TIMED_FORMATS,
    Format,
    Granularities,
    Hotwords,
    Include,
    InitialPrompt,
    InLines,
    Keywords,
    Language,
    Languages,
    ManyFiles,
    Model,
    Multilingual,
    OneFile,
    OptionalChunkingStrategy,
    Prompt,
    Temperature,
    VadConfig,
    served_language,
)
from asr_api.http.fields import ResponseFormat as ResponseFormat
from asr_api.http.parsing import Form
from asr_api.http.spelling import Spelling
from asr_api.transcription import AudioOptions, Task, TranscriptionOptions

AUDIO_FIELDS = frozenset(field.name for field in fields(AudioOptions))
"""The fields that say how audio is prepared."""

ENGINE_FIELDS = frozenset(
    (
        "task", "multilingual", "max_segment_seconds", "max_line_width", "beam_size", "patience", "length_penalty",
        "repetition_penalty", "no_repeat_ngram_size", "suppress_blank", "suppress_tokens", "max_new_tokens",
        "compression_ratio_threshold", "log_prob_threshold", "no_speech_threshold",
    )
)  # fmt: skip
"""The fields of ours that are options as they stand."""


class TranscriptionForm(Form):
    """The fields that all endpoints take."""

    files: OneFile
    model: Model = ""
    prompt: Prompt = ""
    response_format: Format = "json"

    @property
    def file(self) -> UploadFile:
        """The first file."""
        return self.files[0]

    @property
    def words(self) -> bool:
        """Whether the answer has words with their times."""
        return False

    @property
    def segments(self) -> bool:
        """Whether a `verbose_json` has segments."""
        return True

    def options(self, languages: tuple[str, ...]) -> TranscriptionOptions:
        """What the form asks for. Raises InvalidRequest where its language is none of `languages`."""
        raise NotImplementedError


class OpenAITranslationForm(TranscriptionForm):
    """The fields of OpenAI's translation into English."""

    model: Model
    temperature: Temperature = 0.0

    def options(self, languages: tuple[str, ...]) -> TranscriptionOptions:
        return TranscriptionOptions(
            task="translate",
            prompt=self.prompt or None,
            temperature=self.temperature,
            timestamps=self.response_format in TIMED_FORMATS,
        )


class OpenAITranscriptionForm(TranscriptionForm):
    """The fields of OpenAI's transcription."""

    unserved: ClassVar[Mapping[str, str]] = MappingProxyType(
        dict.fromkeys(("known_speaker_names", "known_speaker_references"), "speakers are not told apart here")
    )

    model: Model
    language: Language = ""
    languages: Languages = ()
    keywords: Keywords = ()
    temperature: Temperature = 0.0
    include: Include = ()
    timestamp_granularities: Granularities = ("segment",)
    stream: Annotated[bool, Spelling(null=True)] = Field(
        False,
        description="Send the text as server-sent events while it is made; with `json` and `text` only",
        examples=[True],
    )
    chunking_strategy: OptionalChunkingStrategy = None

    @field_validator("languages")
    @classmethod
    def _one_language(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if len(value) > 1:
            raise PydanticCustomError(
                "languages_unserved", "one language can be named; leave languages out to have it detected"
            )
        if value and info.data.get("language"):
            raise PydanticCustomError("language_twice", "send either language or languages")
        return value

    @field_validator("include")
    @classmethod
    def _logprobs_need_json(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if value and info.data.get("response_format") != "json":
            raise PydanticCustomError("logprobs_unserved", "logprobs are served with response_format=json only")
        return value

    @field_validator("timestamp_granularities")
    @classmethod
    def _words_need_verbose_json(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "word" in value and info.data.get("response_format") != "verbose_json":
            raise PydanticCustomError("words_unserved", "words are served with response_format=verbose_json only")
        return value

    @field_validator("stream")
    @classmethod
    def _streams_are_text(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("response_format") in TIMED_FORMATS:
            raise PydanticCustomError("stream_unserved", "a stream is served with response_format=json or text only")
        return value

    @property
    def words(self) -> bool:
        return "word" in self.timestamp_granularities

    @property
    def segments(self) -> bool:
        return "segment" in self.timestamp_granularities or not self.words

    def options(self, languages: tuple[str, ...]) -> TranscriptionOptions:
        param = "languages" if self.languages else "language"
        named = self.languages[0] if self.languages else self.language
        return TranscriptionOptions(
            language=served_language(named, languages, param),
            prompt=self.prompt or None,
            hotwords=", ".join(self.keywords) or None,
            temperature=self.temperature,
            timestamps=self.response_format in TIMED_FORMATS,
            logprobs="logprobs" in self.include,
            audio=self._audio(),
        )

    def _audio(self) -> AudioOptions:
        """Speech is always what is cut at, also where OpenAI would take one block: Whisper hears 30 s at a time.

        `auto` levels the loudness first, because OpenAI promises so.
        """
        if isinstance(self.chunking_strategy, VadConfig):
            return self.chunking_strategy.options
        return AudioOptions(normalize=self.chunking_strategy == "auto")


OpenAIForm = OpenAITranscriptionForm


class TranscribeForm(TranscriptionForm):
    """The fields of our endpoint: all that the engine and the front end can be told."""

    files: ManyFiles
    prompt: InitialPrompt = ""
    language: Language = ""
    multilingual: Multilingual = False
    task: Task = Field(
        "transcribe", description="`translate` writes English, whatever is spoken", examples=["translate"]
    )
    hotwords: Hotwords = ""
    stream: InLines = None
    timestamp_granularities: Granularities = ("segment",)
    word_timestamps: bool = Field(
        False, description="Give segments their words, as `timestamp_granularities=word` does", examples=[True]
    )
    max_segment_seconds: float = Field(
        7.0, ge=1, le=30, description="Seconds that a segment or subtitle lasts at most", examples=[4.5]
    )
    max_line_width: int = Field(
        42, ge=10, le=200, description="Characters of a subtitle line; a segment has two", examples=[32]
    )

    temperature: Ladder = ()
    beam_size: BeamSize = None
    patience: Patience = 1.0
    length_penalty: LengthPenalty = 1.0
    repetition_penalty: RepetitionPenalty = 1.0
    no_repeat_ngram_size: NoRepeatNgramSize = 0
    suppress_blank: SuppressBlank = True
    suppress_tokens: SuppressTokens = None
    max_new_tokens: MaxNewTokens = None
    compression_ratio_threshold: CompressionRatioThreshold = 2.4
    log_prob_threshold: LogProbThreshold = -1.0
    no_speech_threshold: NoSpeechThreshold = 0.6

    vad: Vad = True
    threshold: Threshold = None
    prefix_padding_ms: PrefixPadding = 400
    silence_duration_ms: SilenceDuration = 160
    denoise: Denoise = False
    normalize: Normalize = False

    @field_validator("multilingual")
    @classmethod
    def _one_language_or_many(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("language"):
            raise PydanticCustomError("language_twice", "send either language or multilingual")
        return value

    @field_validator("stream")
    @classmethod
    def _streams_are_json(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("response_format") not in ("json", "verbose_json"):
            raise PydanticCustomError(
                "stream_unserved", "a stream is served with response_format=json or verbose_json only"
            )
        return value

    @field_validator("timestamp_granularities", "word_timestamps")
    @classmethod
    def _words_need_a_place(cls, value: tuple[str, ...] | bool, info: ValidationInfo) -> tuple[str, ...] | bool:
        asked = value is True or (isinstance(value, tuple) and "word" in value)
        if asked and not info.data.get("stream") and info.data.get("response_format") != "verbose_json":
            raise PydanticCustomError(
                "words_unserved", "words are served with response_format=verbose_json only, and with stream"
            )
        return value

    @property
    def words(self) -> bool:
        return self.word_timestamps or "word" in self.timestamp_granularities

    def options(self, languages: tuple[str, ...]) -> TranscriptionOptions:
        ladder = self.temperature
        return TranscriptionOptions(
            language=served_language(self.language, languages),
            prompt=self.prompt or None,
            hotwords=self.hotwords or None,
            timestamps=self.stream is not None or self.response_format in TIMED_FORMATS,
            temperature=ladder[0] if ladder else 0.0,
            temperatures=ladder if len(ladder) > 1 else None,
            audio=AudioOptions(**self.model_dump(include=set(AUDIO_FIELDS))),
            **self.model_dump(include=set(ENGINE_FIELDS)),
        )


F = TypeVar("F", bound=TranscriptionForm)


def parse_form(form_type: type[F], data: FormData) -> F:
    """The form in `data`. Raises InvalidRequest, which names the field at fault."""
    return form_type.read(data)
