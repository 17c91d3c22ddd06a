"""What one side makes of a recording."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word with its times in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class TimedSegment:
    """A segment with its times in seconds; `avg_logprob` is that of the decoding it came from, and its `language`
    stands where the side says it.
    """

    text: str
    start: float
    end: float
    avg_logprob: float | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """A transcript; `language` is Whisper's code, None where nothing was heard; `words` only where times were asked,
    `segments` only where the side has them.
    """

    text: str
    language: str | None
    words: tuple[TimedWord, ...] = ()
    segments: tuple[TimedSegment, ...] = ()
