"""Speech is found as faster-whisper finds it, but in bounded memory."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from faster_whisper.audio import decode_audio
from faster_whisper.vad import get_speech_timestamps
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr_api.audio.speech import BLOCK, WINDOW, SpanTracker, SpeechDetector, SpeechSpan
from asr_api.transcription import SAMPLE_RATE, AudioOptions, Samples

from .sounds import recordings

Probabilities = list[float]


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    return SpeechDetector.load()


@pytest.fixture(scope="module")
def talk() -> Samples:
    """Recordings with pauses between them, many blocks of the detector long."""
    pause, length = np.zeros(SAMPLE_RATE, np.float32), 80 * BLOCK + 100
    clips: list[Samples] = []
    for path in recordings("speech"):
        if sum(map(len, clips)) < length:  # it collects garbage after each, which takes long here
            clips += [decode_audio(str(path)), pause]
    return np.concatenate(clips)[:length]


class Recorder:
    """A network that says what it was asked, and how often: each window's probability is its first sample."""

    def __init__(self) -> None:
        self.windows: list[int] = []
        self.contexts: list[NDArray[np.float32]] = []
        self.states: list[float] = []

    def run(self, output_names: None, inputs: Mapping[str, NDArray[np.float32]]) -> Sequence[Any]:
        windows = inputs["input"]
        self.windows.append(len(windows))
        self.contexts.append(windows[:, :64])
        self.states.append(float(inputs["h"].max()))
        return windows[:, 64:65], inputs["h"] + 1, inputs["c"]


def track(probabilities: Sequence[float], **options: Any) -> list[SpeechSpan]:
    """The spans in a recording of whole windows; without padding and pauses, unless told."""
    tracker = SpanTracker(0.5, **{"min_silence": WINDOW, "before": 0, "after": 0, **options})
    return tracker.push(probabilities) + tracker.finish(len(probabilities) * WINDOW)


@pytest.mark.timeout(300)  # the library's own function is slow where other tests run beside it
@pytest.mark.parametrize(("threshold", "silence"), [(None, 160), (0.2, 160), (0.8, 160), (None, 500), (0.7, 1000)])
def test_agrees_with_faster_whisper(
    detector: SpeechDetector, talk: Samples, threshold: float | None, silence: int
) -> None:
    """The spans are those of the library's own function, across the blocks that we feed it in."""
    expected = get_speech_timestamps(talk, min_silence_duration_ms=silence, threshold=threshold or 0.5)
    spans = detector.detect(talk, AudioOptions(threshold=threshold, silence_duration_ms=silence))
    assert [{"start": span.start, "end": span.end} for span in spans] == expected
    assert len(expected) > 10


def test_own_threshold(talk: Samples) -> None:
    """A request that names no threshold gets the detector's."""
    strict = SpeechDetector.load(threshold=0.8)
    assert strict.detect(talk) == SpeechDetector.load().detect(talk, AudioOptions(threshold=0.8))


def test_blocks() -> None:
    """However long the audio, the network sees a block at a time, with its state and context carried on."""
    network = Recorder()
    samples = np.arange(2 * BLOCK + WINDOW + 1, dtype=np.float32)
    SpeechDetector(network).detect(samples)
    assert network.windows == [BLOCK // WINDOW, BLOCK // WINDOW, 2]
    assert network.states == [0, 1, 2]
    assert (network.contexts[0][0] == 0).all()
    np.testing.assert_array_equal(network.contexts[1][0], samples[BLOCK - 64 : BLOCK])
    np.testing.assert_array_equal(network.contexts[2][1], samples[2 * BLOCK + WINDOW - 64 : 2 * BLOCK + WINDOW])


def test_threads(detector: SpeechDetector, talk: Samples) -> None:
    """Threads that share a detector get the same answers as one alone."""
    parts = [talk[: 20 * SAMPLE_RATE], talk[20 * SAMPLE_RATE : 50 * SAMPLE_RATE]] * 3
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detector.detect, parts)) == [detector.detect(part) for part in parts]


@pytest.mark.parametrize("length", [0, 1, WINDOW, 10 * SAMPLE_RATE])
def test_silence(detector: SpeechDetector, length: int) -> None:
    """Nobody speaks in silence."""
    assert detector.detect(np.zeros(length, np.float32)) == []


def test_music(detector: SpeechDetector) -> None:
    """Nobody speaks in the music either."""
    for path in recordings("music"):
        assert detector.detect(decode_audio(str(path))) == []


def test_hysteresis() -> None:
    """Speech begins at the threshold, outlasts short dips and ends where a long enough silence began."""
    probabilities = [0.1, 0.5, 0.4, 0.2, 0.6, 0.2, 0.2, 0.2, 0.4, 0.9]
    spans = track(probabilities, min_silence=2 * WINDOW)
    assert spans == [SpeechSpan(1 * WINDOW, 5 * WINDOW), SpeechSpan(9 * WINDOW, 10 * WINDOW)]


def test_padding() -> None:
    """Spans are widened within the audio, and those too close to each other meet in the middle."""
    probabilities = [0.0] * 2 + [1.0] * 3 + [0.0] * 2 + [1.0] + [0.0] * 11 + [1.0, 0.0]
    spans = track(probabilities, before=4 * WINDOW, after=3 * WINDOW)
    assert [(span.start / WINDOW, span.end / WINDOW) for span in spans] == [(0, 6), (6, 11), (15, 21)]
    assert [(span.before / WINDOW, span.after / WINDOW) for span in spans] == [(2, 1), (1, 3), (4, 0)]


def plain(probabilities: Probabilities, min_silence: int, before: int, after: int, length: int) -> list[SpeechSpan]:
    """The same rules for all probabilities at once: what the tracker is held to."""
    raw, start, silence = [], None, None
    for position, probability in zip(range(0, len(probabilities) * WINDOW, WINDOW), probabilities, strict=True):
        if probability >= 0.5:
            start, silence = position if start is None else start, None
        elif start is not None and probability < 0.35:
            silence = position if silence is None else silence
            if position - silence >= min_silence:
                raw.append((start, silence))
                start = silence = None
    if start is not None:
        raw.append((start, len(probabilities) * WINDOW))
    middles = [(end + start) // 2 for (_, end), (start, _) in pairwise(raw)]
    return [
        padded(start, end, max(start - before, floor), min(end + after, ceiling))
        for (start, end), floor, ceiling in zip(raw, [0, *middles], [*middles, length], strict=False)
    ]


def padded(start: int, end: int, first: int, last: int) -> SpeechSpan:
    return SpeechSpan(first, last, before=start - first, after=max(0, last - end))


def whole(spans: Sequence[SpeechSpan]) -> list[tuple[int, int, int, int]]:
    """All of them: padding does not count where spans are compared."""
    return [(span.start, span.end, span.before, span.after) for span in spans]


runs = st.lists(st.tuples(st.one_of(st.just(1), st.integers(1, 40)), st.floats(0, 1)), max_size=30).map(
    lambda pairs: [probability for count, probability in pairs for _ in range(count)]
)
"""Probabilities that stay the same for some windows."""


@given(
    runs,
    st.integers(1, WINDOW),
    st.sampled_from([0, 160, 2560, 16_000]),
    st.sampled_from([0, 100, 6400, 40_000]),
    st.integers(1, 100),
)
def test_tracker(probabilities: Probabilities, last: int, min_silence: int, before: int, step: int) -> None:
    """Whatever the network says and however it comes: the spans are those of the plain rules, in
    order, not empty, within the audio, and each no earlier than was foretold."""
    length = max(0, (len(probabilities) - 1) * WINDOW + last) if probabilities else 0
    tracker = SpanTracker(0.5, min_silence=min_silence, before=before, after=6400)
    spans: list[SpeechSpan] = []
    foretold: list[tuple[int, SpeechSpan]] = []
    for start in range(0, len(probabilities), step):
        spans += tracker.push(probabilities[start : start + step])
        foretold.append((len(spans), tracker.pending))
    spans += tracker.finish(length)
    assert whole(spans) == whole(plain(probabilities, min_silence, before, 6400, length))
    assert all(0 <= span.start < span.end <= length for span in spans)
    assert all(left.end <= right.start for left, right in pairwise(spans))
    for count, least in foretold:
        assert all(span.start >= least.start and span.end >= min(least.end, length) for span in spans[count:])
