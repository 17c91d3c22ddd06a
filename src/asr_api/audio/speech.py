"""Where somebody speaks: Silero's voice activity detector, over audio that comes block by block."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np

from asr_api.audio.silero import CONTEXT, UNITS, Floats, SileroNetwork
from asr_api.transcription import SAMPLE_RATE, AudioOptions, Samples

WINDOW = 512
"""Samples of which Silero judges at a time (at 16 kHz)."""

BLOCK = 64 * WINDOW
"""Samples a call of the network, 2 s: small enough for the processor's cache, large enough for
matrix products. Always the same, so that rounding cannot depend on how the audio arrives."""

HYSTERESIS = 0.15
"""How far below the threshold the probability must fall before speech ends (Silero's value)."""

PADDING_AFTER = round(0.4 * SAMPLE_RATE)
"""Samples after speech that count as speech too (faster-whisper's value)."""


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """A stretch of speech, in samples: `start` is its first, `end` the one after its last.

    So many samples of it `before` and `after` are padding, in which nobody speaks.
    """

    start: int
    end: int
    before: int = field(default=0, compare=False)
    after: int = field(default=0, compare=False)

    @property
    def length(self) -> int:
        return self.end - self.start


class SileroSession(Protocol):
    """Silero's network: `input` (windows, 576), the state `h` and `c`; returns probabilities, `h`, `c`."""

    def run(self, output_names: None, inputs: Mapping[str, Floats]) -> Sequence[Any]: ...


class SpeechDetector:
    """Finds speech. Holds no state between calls, so that threads may share one."""

    def __init__(self, session: SileroSession, *, threshold: float = 0.5) -> None:
        """`threshold` holds for requests that name none; see AudioOptions for what they can ask.

        The defaults are those of faster-whisper's batched pipeline: every pause at which a chunk
        could end counts.
        """
        self._session = session
        self._threshold = threshold

    @classmethod
    def load(cls, *, threshold: float = 0.5) -> Self:
        """A detector with the network that faster-whisper brings (one thread, no download)."""
        return cls(SileroNetwork.load(), threshold=threshold)

    def detect(self, samples: Samples, options: AudioOptions | None = None) -> list[SpeechSpan]:
        """The spans of speech in order, not overlapping, within the audio; neighbours may touch."""
        stream = self.listen(options or AudioOptions())
        blocks = (samples[start : start + BLOCK] for start in range(0, len(samples), BLOCK))
        return [span for block in blocks for span in stream.push(block)] + stream.finish()

    def listen(self, options: AudioOptions) -> "SpeechStream":
        """The same for audio that comes block by block."""
        threshold = self._threshold if options.threshold is None else options.threshold
        tracker = SpanTracker(
            threshold,
            min_silence=options.silence_duration_ms * SAMPLE_RATE // 1000,
            before=options.prefix_padding_ms * SAMPLE_RATE // 1000,
            after=PADDING_AFTER,
        )
        return SpeechStream(self._session, tracker)


class Listener(Protocol):
    """Says where speech is; what SpeechStream promises."""

    def push(self, block: Samples) -> list[SpeechSpan]: ...

    def finish(self) -> list[SpeechSpan]: ...

    @property
    def pending(self) -> SpeechSpan: ...


class SpeechStream:
    """Finds speech in one recording; it remembers nothing but the network's state."""

    def __init__(self, session: SileroSession, tracker: "SpanTracker") -> None:
        self._session = session
        self._tracker = tracker
        self._h = self._c = np.zeros((1, 1, UNITS), np.float32)
        self._before = np.zeros(CONTEXT, np.float32)
        self._length = 0

    def push(self, block: Samples) -> list[SpeechSpan]:
        """The spans that are final by now. All blocks but the last have BLOCK samples."""
        self._length += len(block)
        return self._tracker.push(self._probabilities(block).tolist())

    def finish(self) -> list[SpeechSpan]:
        """The span that was still to come, where there is one."""
        return self._tracker.finish(self._length)

    @property
    def pending(self) -> SpeechSpan:
        """Bounds for the next span: it begins and ends no earlier than this."""
        return self._tracker.pending

    def _probabilities(self, block: Samples) -> Floats:
        windows = np.pad(block, (0, -len(block) % WINDOW)).reshape(-1, WINDOW)
        ends = windows[:, -CONTEXT:]
        inputs = np.hstack([np.vstack([self._before, ends[:-1]]), windows])
        probabilities, self._h, self._c = self._session.run(None, {"input": inputs, "h": self._h, "c": self._c})
        self._before = ends[-1]
        flat: Floats = probabilities.ravel()
        return flat


class SpanTracker:
    """Spans of speech from one probability a window: Silero's hysteresis, then padding."""

    def __init__(self, threshold: float, *, min_silence: int, before: int, after: int) -> None:
        """Speech begins where its probability reaches `threshold` and ends with `min_silence` samples
        well below it. Each span is widened by `before` and `after` samples, within the audio;
        neighbours too close for that meet in the middle of the pause.
        """
        self._threshold, self._lower = threshold, max(threshold - HYSTERESIS, 0.01)
        self._min_silence, self._before, self._after = min_silence, before, after
        self._position = 0  # of the window to judge next
        self._start: int | None = None  # of the span that goes on, padded
        self._onset = 0  # of the same, without padding
        self._silence: int | None = None  # where the pause began that may end it
        self._waiting: SpeechSpan | None = None  # the span that ended but whose padding is not final
        self._end: int | None = None  # of the latest span that ended, without padding

    def push(self, probabilities: Iterable[float]) -> list[SpeechSpan]:
        """The spans that are final by now: at most `min_silence` or 2 * `after` samples after they end."""
        spans: list[SpeechSpan] = []
        for probability in probabilities:
            if probability >= self._threshold:
                self._silence = None
                if self._start is None:
                    spans += self._begin()
            elif probability < self._lower and self._start is not None:
                self._pause(self._start)
            self._position += WINDOW
        if self._end is not None and self._position >= self._end + 2 * self._after:
            spans += self._settle(self._position)
        return spans

    def finish(self, length: int) -> list[SpeechSpan]:
        """The span that was not final, in audio that is `length` samples long."""
        if self._start is not None:
            self._wait(self._start, self._position)
        return self._settle(length)

    @property
    def pending(self) -> SpeechSpan:
        """Bounds for the next span: it begins and ends no earlier than this."""
        if self._start is not None:
            end = self._position if self._silence is None else self._silence
            return SpeechSpan(self._start, end, before=self._onset - self._start)
        if self._waiting is not None:
            return self._waiting
        return SpeechSpan(max(0, self._position - self._before), self._position)

    def _begin(self) -> list[SpeechSpan]:
        """A span begins here: the one before it is final."""
        middle = 0 if self._end is None else (self._end + self._position) // 2
        self._start, self._onset = max(self._position - self._before, middle), self._position
        return self._settle(middle)

    def _pause(self, start: int) -> None:
        """No speech in this window: the span ends if that has lasted."""
        self._silence = self._position if self._silence is None else self._silence
        if self._position - self._silence >= self._min_silence:
            self._wait(start, self._silence)

    def _wait(self, start: int, end: int) -> None:
        """A span has ended; how much after it is padding, what follows will show."""
        self._waiting, self._end = SpeechSpan(start, end, before=self._onset - start), end
        self._start = self._silence = None

    def _settle(self, latest: int) -> list[SpeechSpan]:
        """The span that waits for its padding, which ends at `latest` at the latest."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return []
        end = min(waiting.end + self._after, latest)
        return [replace(waiting, end=end, after=max(0, end - waiting.end))]
