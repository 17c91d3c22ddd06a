"""From what was heard in each chunk to the transcript: in order, part by part, as chunks finish."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from asr_api.engine.protocol import LIKELIEST, DecodingResult
from asr_api.metrics.labels import Guard
from asr_api.segmenting import SegmentRules, segments_of
from asr_api.transcription import ChunkPlace, Part, Segment, TokenLogprob, Transcription, TranscriptionOptions

OnPart = Callable[[Part], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one chunk, or of a part of it: the `result`, the `guard` that holds that nothing is said, and
    whether it is not that of the first decoding but of a `fallback`."""

    place: ChunkPlace
    result: DecodingResult
    guard: Guard | None = None
    languages: tuple[tuple[str, float], ...] = ()
    fallback: bool = False

    @property
    def said(self) -> bool:
        return self.guard is None


class Stitcher:
    """Takes what came of chunks in any order by their number; tells each part as soon as all before it are there."""

    def __init__(self, options: TranscriptionOptions, on_part: OnPart | None) -> None:
        self._options = options
        self._rules = SegmentRules(options.max_segment_seconds, options.max_line_width)
        self._on_part = on_part
        self._waiting: dict[int, Sequence[Heard]] = {}
        self._next = 0
        self._text = self._told = ""
        self._segments: list[Segment] = []
        self._logprobs: list[TokenLogprob] = []
        self._tokens = 0
        self._said_seconds = 0.0
        self._heard_seconds: dict[str, float] = {}
        self._languages: tuple[tuple[str, float], ...] = ()
        self._language = options.language

    def add(self, number: int, parts: Sequence[Heard]) -> None:
        self._waiting[number] = parts
        while self._next in self._waiting:
            for heard in self._waiting.pop(self._next):
                self._append(heard)
            self._next += 1

    def transcription(self, duration: float) -> Transcription:
        """The whole, of audio so many seconds long. Call when all chunks were added."""
        return Transcription(
            text=self._told,
            task=self._options.task,
            language=self._language,
            language_probability=self._probability(),
            duration=duration,
            segments=tuple(self._segments),
            logprobs=tuple(self._logprobs),
            language_probabilities=self._languages,
            output_tokens=self._tokens,
        )

    def _probability(self) -> float | None:
        if self._options.language is not None:
            return 1.0 if self._text else None
        return self._languages[0][1] if self._languages else None

    def _append(self, heard: Heard) -> None:
        self._tokens += len(heard.result.tokens)
        if not heard.said:
            return
        self._take_language(heard)
        first = len(self._segments)
        segments = segments_of(heard.place, heard.result, self._rules)
        self._segments += [
            replace(segment, id=first + n, fallback=heard.fallback) for n, segment in enumerate(segments)
        ]
        self._logprobs += heard.result.logprobs
        self._text += heard.result.text
        self._tell(Part("", heard.result.language, tuple(self._segments[first:]), heard.result.logprobs))

    def _take_language(self, heard: Heard) -> None:
        """The language of the whole is the first one's; where there may be several, the likeliest over all seconds."""
        if not self._options.multilingual:
            self._language = self._language or heard.result.language
            self._languages = self._languages or heard.languages
            return
        for language, probability in heard.languages:
            seconds = self._heard_seconds.get(language, 0.0)
            self._heard_seconds[language] = seconds + probability * heard.place.duration
        self._said_seconds += heard.place.duration
        ranked = sorted(self._heard_seconds.items(), key=itemgetter(1), reverse=True)[:LIKELIEST]
        self._languages = tuple((language, seconds / self._said_seconds) for language, seconds in ranked)
        self._language = self._languages[0][0]

    def _tell(self, part: Part) -> None:
        """The text that is new, without the space that may follow it: so the parts are the transcript."""
        whole = self._text.strip()
        new, self._told = whole[len(self._told) :], whole
        if self._on_part is not None:
            self._on_part(replace(part, text=new))
