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

from asr_api.audio.speech import BLOCK, WINDOW, SpeechDetector, SpeechSpan, find_spans, pad_spans
from asr_api.transcription import SAMPLE_RATE, Samples

from .sounds import recordings


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    return SpeechDetector.load()


@pytest.fixture(scope="module")
def talk() -> Samples:
    """Recordings with pauses between them, longer than three blocks of the detector."""
    pause = np.zeros(SAMPLE_RATE, np.float32)
    clips = [part for path in recordings("speech") for part in (decode_audio(str(path)), pause)]
    return np.tile(np.concatenate(clips), 5)[: 7 * BLOCK // 2 + 100]


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


def test_agrees_with_faster_whisper(detector: SpeechDetector, talk: Samples) -> None:
    """The spans are those of the library's own function, across the blocks that we feed it in."""
    expected = get_speech_timestamps(talk, min_silence_duration_ms=160)
    assert [{"start": span.start, "end": span.end} for span in detector.detect(talk)] == expected
    assert len(expected) > 10


def test_blocks() -> None:
    """However long the audio, the network sees a block at a time, with its state and context carried on."""
    network = Recorder()
    samples = np.arange(2 * BLOCK + WINDOW + 1, dtype=np.float32)
    SpeechDetector(network).detect(samples)
    assert network.windows == [1000, 1000, 2]
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
    spans = list(find_spans(probabilities, threshold=0.5, min_silence=2 * WINDOW))
    assert spans == [SpeechSpan(1 * WINDOW, 5 * WINDOW), SpeechSpan(9 * WINDOW, 10 * WINDOW)]


def test_padding() -> None:
    """Spans are widened within the audio, and those too close to each other meet in the middle."""
    spans = [SpeechSpan(5, 20), SpeechSpan(30, 40), SpeechSpan(90, 95)]
    assert pad_spans(spans, 10, 100) == [SpeechSpan(0, 25), SpeechSpan(25, 50), SpeechSpan(80, 100)]


@given(st.lists(st.floats(0, 1), max_size=200), st.integers(1, WINDOW))
def test_spans_are_in_order(probabilities: list[float], last: int) -> None:
    """Whatever the network says, the spans are ordered, apart, not empty and within the audio."""
    length = max(0, (len(probabilities) - 1) * WINDOW + last) if probabilities else 0
    spans = pad_spans(list(find_spans(probabilities, 0.5, 2560)), 6400, length)
    assert all(0 <= span.start < span.end <= length for span in spans)
    assert all(left.end <= right.start for left, right in pairwise(spans))
