"""Quiet recordings are heard by the detector as if they were loud, and by the model as they are."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from asr_api.audio.chunking import Chunker
from asr_api.audio.loudness import LoudStream
from asr_api.audio.speech import BLOCK, SpeechDetector, SpeechSpan
from asr_api.transcription import AudioOptions, Samples

from .sounds import check_clicks, check_samples, clicks, level


class Recorder:
    """Keeps what it is given to hear, unless it is told to forget, and finds nothing."""

    def __init__(self, *, forgetful: bool = False) -> None:
        self.blocks: list[Samples] = []
        self.length = 0
        self._forgetful = forgetful

    def push(self, block: Samples) -> list[SpeechSpan]:
        self.length += len(block)
        if not self._forgetful:
            self.blocks.append(block)
        return []

    def finish(self) -> list[SpeechSpan]:
        return []

    @property
    def pending(self) -> SpeechSpan:
        return SpeechSpan(self.length, self.length)


def blocks_of(samples: Samples) -> Iterator[Samples]:
    return (samples[start : start + BLOCK] for start in range(0, len(samples), BLOCK))


def louder(samples: Samples) -> Samples:
    """What another listener hears of a recording, in blocks as it wants them."""
    recorder = Recorder()
    stream = LoudStream(recorder)
    for block in blocks_of(samples):
        stream.push(block)
    stream.finish()
    assert all(len(block) == BLOCK for block in recorder.blocks[:-1])
    return np.concatenate([np.zeros(0, np.float32), *recorder.blocks])


def found(samples: Samples, *, normalize: bool) -> float:
    """Seconds of speech in the chunks of a recording."""
    chunker = Chunker(SpeechDetector.load(), AudioOptions(normalize=normalize))
    return sum(chunk.voiced for chunk in [*chunker.push(samples), *chunker.finish()])


@pytest.mark.parametrize("length", [0, 1, 401, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 12_345])
def test_length_is_kept(length: int) -> None:
    """As many samples are heard as there are, all finite and within -1..1."""
    result = louder(np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32))
    check_samples(result, length)


def test_position_is_kept() -> None:
    """A click stays where it is to the millisecond: at the start, over the edge of a block, and at the very end."""
    length = 3 * BLOCK + 7_000
    places = [800, BLOCK // 2, BLOCK - 4, 2 * BLOCK + 20_000, length - 300]
    check_clicks(louder(clicks(length, places)), places)


def test_a_quiet_recording_is_heard_at_the_level_of_near_speech(speech: list[Samples]) -> None:
    """Forty decibels below, it is heard at -22 to -10."""
    quiet = np.concatenate(speech) * np.float32(0.01)
    assert level(quiet) < -55
    assert -22 < level(louder(quiet)) < -10


def test_quiet_and_loud_speakers_meet(speech: list[Samples]) -> None:
    """Where one is 30 dB lower than the other, the two are heard within 20 dB."""
    low = [part * np.float32(10 ** (-30 / 20)) if number % 2 else part for number, part in enumerate(speech)]
    edges = np.cumsum([len(part) for part in low])[:-1]
    levels = [level(part) for part in np.split(louder(np.concatenate(low)), edges)]
    assert max(level(part) for part in low) - min(level(part) for part in low) > 25
    assert max(levels) - min(levels) < 20


def test_what_is_said_too_low_is_found(speech: list[Samples]) -> None:
    """At -60 dB nearly as much speech is found as at full level, of which a fifth or more is missed else."""
    talk = np.concatenate(speech)
    quiet = talk * np.float32(0.001)
    assert found(quiet, normalize=True) > 0.9 * found(talk, normalize=False)
    assert found(quiet, normalize=False) < 0.8 * found(talk, normalize=False)


def test_chunks_have_the_recording_as_it_was(speech: list[Samples]) -> None:
    """The model hears no level that goes up and down: every chunk is a piece of the audio itself."""
    talk = np.concatenate(speech) * np.float32(0.01)
    chunker = Chunker(SpeechDetector.load(), AudioOptions(normalize=True))
    chunks = [chunk for block in blocks_of(talk) for chunk in chunker.push(block)] + chunker.finish()
    assert chunks
    for chunk in chunks:
        assert np.array_equal(chunk.samples, talk[chunk.offset : chunk.offset + len(chunk.samples)])


def test_memory_is_bounded() -> None:
    """Five minutes take no more memory than some blocks."""
    recorder = Recorder(forgetful=True)
    stream = LoudStream(recorder)
    tracemalloc.start()
    try:
        for _ in range(150):
            stream.push(np.zeros(BLOCK, np.float32))
        stream.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert recorder.length == 150 * BLOCK
    assert peak < 16 * BLOCK * np.dtype(np.float32).itemsize
