"""The JSON bodies on the wire. A float that is not finite is written as null."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from asr_api.transcription import Task


class Body(BaseModel):
    """What is sent. A transcript never gets into the message of an error."""

    model_config = ConfigDict(hide_input_in_errors=True)


class DurationUsage(Body):
    """What OpenAI would bill: seconds of audio, rounded up."""

    type: Literal["duration"]
    seconds: int


class TokenUsage(Body):
    """What the end of a stream tells: 50 tokens a second of audio, as Whisper's encoder has, and those written."""

    type: Literal["tokens"]
    input_tokens: int
    output_tokens: int
    total_tokens: int


class LogprobBody(Body):
    """A token of the text with the log of its probability; `bytes` where it is but part of a character."""

    token: str
    logprob: float
    bytes: list[int]


class OpenAITranscription(Body):
    """Answer to `response_format=json`; `logprobs` where `include` asks for them."""

    text: str
    logprobs: list[LogprobBody] | None = None
    usage: DurationUsage


class OpenAITranslation(Body):
    """Answer of the translation to `response_format=json`."""

    text: str


class TextDelta(Body):
    """The next piece of a streamed transcript; all pieces together are the whole."""

    type: Literal["transcript.text.delta"]
    delta: str
    logprobs: list[LogprobBody] | None = None


class TextDone(Body):
    """The end of a streamed transcript, and the whole of it."""

    type: Literal["transcript.text.done"]
    text: str
    logprobs: list[LogprobBody] | None = None
    usage: TokenUsage


class OpenAIWord(Body):
    """A word without the space before it; times in seconds."""

    word: Annotated[str, StringConstraints(strip_whitespace=True)]
    start: float
    end: float


class SegmentBody(Body):
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


class OpenAIVerboseTranslation(Body):
    """Answer of the translation to `response_format=verbose_json`; its `language` is that which is written."""

    task: Literal["translate"]
    language: Literal["english"]
    duration: float
    text: str
    segments: list[SegmentBody]


class OpenAIVerboseTranscription(Body):
    """Answer to `response_format=verbose_json`; `words` and `segments` as `timestamp_granularities` asks."""

    task: Task
    language: str = Field(description="English name in lower case; empty where nothing was said")
    duration: float
    text: str
    words: list[OpenAIWord] | None = None
    segments: list[SegmentBody] | None = None
    usage: DurationUsage


class WordBody(Body):
    """A word with the space before it and the mean probability of its tokens; times in seconds."""

    word: str
    start: float
    end: float
    probability: float


class OurSegment(SegmentBody):
    """A segment of our endpoint: `fallback` says that it was decoded again, at a higher temperature."""

    fallback: bool
    language: str = Field(description="Whisper's code, as `en`; segments differ only with `multilingual`")


class SegmentWithWords(OurSegment):
    """A segment as `timestamp_granularities` with `word` has it."""

    words: list[WordBody]


class Timing(Body):
    """Seconds that the request spent in each stage; of chunks that overlap, the longest counts."""

    upload: float = 0.0
    decode: float = 0.0
    queue: float = 0.0
    inference: float = 0.0


class TranscribeBody(Body):
    """Answer of `/transcribe`; `segments` are there with `response_format=verbose_json`."""

    text: str
    language: str | None = Field(description="Whisper's code, as `en`; null where nothing was said")
    language_probability: float | None
    language_probabilities: dict[str, float] = Field(
        description="The likeliest languages, where the language was detected"
    )
    duration: float
    task: Task
    model: str
    timing: Timing
    segments: list[SegmentWithWords | OurSegment] | None = None


class FileBody(TranscribeBody):
    """The answer for one of several files."""

    file: str = Field(description="The file's name, as it was sent")


class FileError(Body):
    """Why one of several files was not transcribed."""

    file: str
    error: "ErrorBody"


class TranscribeManyBody(Body):
    """The answer for several files, in the order in which they were sent."""

    results: list[FileBody | FileError]


class SegmentEvent(Body):
    """A segment of a stream of our endpoint, as soon as all before it are done; `file` counts from 0."""

    type: Literal["segment"]
    file: int
    segment: SegmentWithWords | OurSegment


class QueueEvent(Body):
    """How many requests wait before this one; sent while it waits, whenever that has changed."""

    type: Literal["queue"]
    ahead: int


class ProgressEvent(Body):
    """How far a file is, in seconds of audio."""

    type: Literal["progress"]
    file: int
    seconds: float
    duration: float


class DoneEvent(Body):
    """The end of a file in a stream: all but the segments, which were sent."""

    type: Literal["done"]
    file: int
    result: TranscribeBody


class ErrorEvent(Body):
    """The end of a file that failed, or of the stream."""

    type: Literal["error"]
    file: int
    error: "ErrorBody"


class ModelBody(Body):
    """A model name that requests may use."""

    id: str
    object: Literal["model"]
    created: int = Field(description="Unix time at which the service started")
    owned_by: str


class ModelList(Body):
    """The model names that requests may use: the served model and OpenAI's names for it."""

    object: Literal["list"]
    data: list[ModelBody]


class Status(Body):
    """How the service is: `ok` or `ready`, else `loading`, `draining` or `failed`."""

    status: str


class ErrorBody(Body):
    """What went wrong in one sentence, for people, and as `code` and `param`, for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(Body):
    """OpenAI's error envelope: the body of every refusal."""

    error: ErrorBody
