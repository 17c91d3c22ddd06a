"""What the engine makes of the same chunk on contexts of many lengths: tried once, to judge any choice of them by."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Literal

from benchmarks.harness.clips import Clip

from asr_api.audio.frontend import load_front_end
from asr_api.audio.messages import Order
from asr_api.engine.protocol import DecodingOptions, DecodingResult, DecodingTask
from asr_api.engine.whisper import WhisperEngine
from asr_api.fallback import Attempts, Caps, Thresholds
from asr_api.spectrogram import FRAMES
from asr_api.transcription import AudioOptions, FeatureChunk, TranscriptionOptions

BATCH = 8
"""Chunks of a call, as in the service on a CPU."""
LONGEST = 600.0
"""Seconds of a recording at most."""

Caught = Literal["compression_ratio", "length", "avg_logprob", "expected_tokens"]
"""By what a decoding on a short context is known to be bad; `expected_tokens`: it passes, but writes too much."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A chunk's first decoding on a context, and by what it was caught; None where it stands."""

    result: DecodingResult
    caught: Caught | None


@dataclass(frozen=True, slots=True)
class Tried:
    """A recording that is one chunk: its `trials` by context in frames of 10 ms, and the `whole` on 30 s, with
    all the temperatures that it needed. `condition` is how it was spoiled.
    """

    clip: Clip
    condition: str
    seconds: float
    trials: Mapping[int, Trial]
    whole: DecodingResult


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording's only chunk."""

    clip: Clip
    condition: str
    chunk: FeatureChunk

    @property
    def seconds(self) -> float:
        return self.chunk.place.duration


class Bench:
    """The engine in this process with the service's defaults."""

    def __init__(self, engine: WhisperEngine, options: TranscriptionOptions, beam_size: int) -> None:
        self._engine = engine
        self._options = options
        self._search = options.search(beam_size)
        self._seconds: dict[int, float] = {}
        self._chunks: dict[int, int] = {}

    @property
    def cost(self) -> dict[int, float]:
        """The engine's seconds for a chunk, by context."""
        return {context: seconds / self._chunks[context] for context, seconds in sorted(self._seconds.items())}

    def try_all(self, heard: Sequence[Heard], contexts: Sequence[int]) -> list[Tried]:
        """Each recording on each context that holds it, and on all 30 s."""
        trials: list[dict[int, Trial]] = [{} for _ in heard]
        for context in contexts:
            rows = [row for row, one in enumerate(heard) if one.chunk.features.shape[1] <= context]
            results = self._decode([heard[row] for row in rows], [None] * len(rows), 0.0, context)
            for row, result in zip(rows, results, strict=True):
                trials[row][context] = Trial(result, self.caught(result, heard[row].chunk.place.voiced))
        wholes = self._wholes(heard)
        return [
            Tried(one.clip, one.condition, one.seconds, tried, whole)
            for one, tried, whole in zip(heard, trials, wholes, strict=True)
        ]

    def caught(self, result: DecodingResult, voiced: float) -> Caught | None:
        """Why the service would hear it again on 30 s."""
        if Attempts(self._options, voiced, FRAMES - 2).add(result) is None:
            return None
        cut = Caps.of(voiced, None).cuts(result)
        reason = Thresholds.of(self._options).failure(result, cut=cut)
        return "expected_tokens" if reason is None or reason == "audio_context" else reason

    def _wholes(self, heard: Sequence[Heard]) -> list[DecodingResult]:
        """All temperatures that each needs, those of one temperature and cap together."""
        attempts = [Attempts(self._options, one.chunk.place.voiced, FRAMES) for one in heard]
        languages: list[str | None] = [None] * len(heard)
        while open_rows := [row for row, one in enumerate(attempts) if not one.over]:
            key = (attempts[open_rows[0]].temperature, attempts[open_rows[0]].max_tokens)
            rows = [row for row in open_rows if (attempts[row].temperature, attempts[row].max_tokens) == key]
            asked = [languages[row] for row in rows]
            results = self._decode([heard[row] for row in rows], asked, key[0], FRAMES, key[1])
            for row, result in zip(rows, results, strict=True):
                attempts[row].add(result)
                languages[row] = result.language
        return [one.best for one in attempts]

    def _decode(
        self,
        heard: Sequence[Heard],
        languages: Sequence[str | None],
        temperature: float,
        context: int,
        max_tokens: int | None = None,
    ) -> list[DecodingResult]:
        """The results in order; chunks of one cap share calls, as in the queue."""
        caps = [max_tokens or Caps.of(one.chunk.place.voiced, None).now for one in heard]
        results: dict[int, DecodingResult] = {}
        for cap in set(caps):
            rows = [row for row, own in enumerate(caps) if own == cap]
            options = DecodingOptions(
                **asdict(self._search),
                temperature=temperature,
                max_tokens=cap,
                audio_context=context,
            )
            for some in _batches(rows):
                tasks = [_task(heard[row].chunk, languages[row], options) for row in some]
                results |= dict(zip(some, self._timed(tasks, context), strict=True))
        return [results[row] for row in range(len(heard))]

    def _timed(self, tasks: Sequence[DecodingTask], context: int) -> Sequence[DecodingResult]:
        began = perf_counter()
        results = self._engine.decode(tasks)
        self._seconds[context] = self._seconds.get(context, 0.0) + perf_counter() - began
        self._chunks[context] = self._chunks.get(context, 0) + len(tasks)
        return [_sound(result) for result in results]


def chunks_of(clips: Sequence[Clip], condition: str, n_mels: int) -> list[Heard]:
    """The recordings in which the service finds speech, and that in one chunk."""
    front_end = load_front_end()
    order = Order(options=AudioOptions(), n_mels=n_mels, max_seconds=LONGEST, descriptor=False)
    heard = []
    for clip in clips:
        with clip.path.open("rb") as recording:
            chunks = [event for event in front_end(recording, order) if isinstance(event, FeatureChunk)]
        if len(chunks) == 1:
            heard.append(Heard(clip, condition, chunks[0]))
    return heard


def _task(chunk: FeatureChunk, language: str | None, options: DecodingOptions) -> DecodingTask:
    return DecodingTask(chunk.features, chunk.place.duration, language, "transcribe", (), options, timestamps=True)


def _sound(result: DecodingResult | Exception) -> DecodingResult:
    if isinstance(result, Exception):
        raise result
    return result


def _batches(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
