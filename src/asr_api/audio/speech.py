"""Where somebody speaks: Silero's voice activity detector, as it comes with faster-whisper."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from faster_whisper.vad import get_vad_model
from numpy.typing import NDArray

from asr_api.transcription import SAMPLE_RATE, Samples

WINDOW = 512
"""Samples of which Silero judges at a time (at 16 kHz)."""

CONTEXT = 64
"""Samples before a window that Silero sees with it."""

BLOCK = 1000 * WINDOW
"""Samples a call of the model, 32 s: what bounds the memory however long the audio is."""

HYSTERESIS = 0.15
"""How far below the threshold the probability must fall before speech ends (Silero's value)."""


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """A stretch of speech, in samples: `start` is its first, `end` the one after its last."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


class SileroSession(Protocol):
    """Silero's network: `input` (windows, 576), the state `h` and `c`; returns probabilities, `h`, `c`."""

    def run(self, output_names: None, inputs: Mapping[str, NDArray[np.float32]]) -> Sequence[Any]: ...


class SpeechDetector:
    """Finds speech. Holds no state between calls, so that threads may share one."""

    def __init__(
        self, session: SileroSession, *, threshold: float = 0.5, min_silence: float = 0.16, padding: float = 0.4
    ) -> None:
        """Speech begins where its probability reaches `threshold` and ends with `min_silence` seconds
        without it; each span is widened by `padding` seconds on either side. The defaults are those
        of faster-whisper's batched pipeline: every pause at which a chunk could end counts.
        """
        self._session = session
        self._threshold = threshold
        self._min_silence = round(min_silence * SAMPLE_RATE)
        self._padding = round(padding * SAMPLE_RATE)

    @classmethod
    def load(cls, *, threshold: float = 0.5) -> Self:
        """A detector with the network that faster-whisper brings (one thread, no download)."""
        return cls(get_vad_model().session, threshold=threshold)

    def detect(self, samples: Samples) -> list[SpeechSpan]:
        """The spans of speech in order, not overlapping, within the audio; neighbours may touch."""
        probabilities = np.concatenate([np.zeros(0, np.float32), *self._probabilities(samples)])
        spans = find_spans(probabilities.tolist(), self._threshold, self._min_silence)
        return pad_spans(list(spans), self._padding, len(samples))

    def _probabilities(self, samples: Samples) -> Iterator[NDArray[np.float32]]:
        """The probability of speech in each window, a block at a time with the state carried on."""
        h = c = np.zeros((1, 1, 128), np.float32)
        before = np.zeros(CONTEXT, np.float32)
        for start in range(0, len(samples), BLOCK):
            windows = _windows(samples[start : start + BLOCK])
            ends = windows[:, -CONTEXT:]
            inputs = np.hstack([np.vstack([before, ends[:-1]]), windows])
            probabilities, h, c = self._session.run(None, {"input": inputs, "h": h, "c": c})
            before = ends[-1]
            yield probabilities.ravel()


def _windows(block: Samples) -> NDArray[np.float32]:
    return np.pad(block, (0, -len(block) % WINDOW)).reshape(-1, WINDOW)


def find_spans(probabilities: Sequence[float], threshold: float, min_silence: int) -> Iterator[SpeechSpan]:
    """Spans of whole windows by Silero's hysteresis; `min_silence` is in samples."""
    lower = max(threshold - HYSTERESIS, 0.01)
    start = silence = None
    for position, probability in zip(range(0, len(probabilities) * WINDOW, WINDOW), probabilities, strict=True):
        if probability >= threshold:
            start, silence = position if start is None else start, None
        elif start is not None and probability < lower:
            silence = position if silence is None else silence
            if position - silence >= min_silence:
                yield SpeechSpan(start, silence)
                start = silence = None
    if start is not None:
        yield SpeechSpan(start, len(probabilities) * WINDOW)


def pad_spans(spans: Sequence[SpeechSpan], padding: int, length: int) -> list[SpeechSpan]:
    """Each span wider by `padding` samples a side, within 0..`length`; neighbours too close share the pause."""
    middles = [(left.end + right.start) // 2 for left, right in itertools.pairwise(spans)]
    return [
        SpeechSpan(max(span.start - padding, floor), min(span.end + padding, ceiling))
        for span, floor, ceiling in zip(spans, [0, *middles], [*middles, length], strict=False)
    ]
