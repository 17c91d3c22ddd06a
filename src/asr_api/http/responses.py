"""The JSON bodies on the wire. A float that is not finite is written as null."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from asr_api.transcription import Task


class DurationUsage(BaseModel):
    """What OpenAI would bill: seconds of audio, rounded up."""

    type: Literal["duration"]
    seconds: int


class OpenAITranscription(BaseModel):
    """Answer to `response_format=json`."""

    text: str
    usage: DurationUsage


class OpenAIWord(BaseModel):
    """A word without the space before it; times in seconds."""

    word: Annotated[str, StringConstraints(strip_whitespace=True)]
    start: float
    end: float


class SegmentBody(BaseModel):
    """A subtitle-sized piece of the transcript; times in seconds."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class OpenAIVerboseTranscription(BaseModel):
    """Answer to `response_format=verbose_json`; `words` and `segments` as `timestamp_granularities` asks."""

    task: Task
    language: str = Field(description="English name in lower case; empty where nothing was said")
    duration: float
    text: str
    words: list[OpenAIWord] | None = None
    segments: list[SegmentBody] | None = None
    usage: DurationUsage


class WordBody(BaseModel):
    """A word with the space before it and the mean probability of its tokens; times in seconds."""

    word: str
    start: float
    end: float
    probability: float


class SegmentWithWords(SegmentBody):
    """A segment as `timestamp_granularities` with `word` has it."""

    words: list[WordBody]


class TranscribeBody(BaseModel):
    """Answer of `/transcribe`; `segments` are there with `response_format=verbose_json`."""

    text: str
    language: str | None = Field(description="Whisper's code, as `en`; null where nothing was said")
    language_probability: float | None
    duration: float
    task: Task
    model: str
    segments: list[SegmentWithWords | SegmentBody] | None = None


class ModelBody(BaseModel):
    """A model name that requests may use."""

    id: str
    object: Literal["model"]
    created: int = Field(description="Unix time at which the service started")
    owned_by: str


class ModelList(BaseModel):
    """The model names that requests may use: the served model and OpenAI's names for it."""

    object: Literal["list"]
    data: list[ModelBody]


class Status(BaseModel):
    """How the service is: `ok` or `ready`, else `loading`, `draining` or `failed`."""

    status: str


class ErrorBody(BaseModel):
    """What went wrong in one sentence, for people, and as `code` and `param`, for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    """OpenAI's error envelope: the body of every refusal."""

    error: ErrorBody
