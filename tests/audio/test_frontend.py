"""From a file to the chunks of its speech."""

import io

import pytest

from asr_api.audio.decoding import AudioLimits
from asr_api.audio.frontend import AudioFrontEnd
from asr_api.audio.speech import SpeechDetector
from asr_api.errors import InvalidAudio

from .sounds import recordings, tone, wav


@pytest.fixture(scope="module")
def front_end() -> AudioFrontEnd:
    return AudioFrontEnd(AudioLimits(max_seconds=120), SpeechDetector.load())


def test_recordings(front_end: AudioFrontEnd) -> None:
    """Somebody speaks in each recording of speech, for most of it."""
    for path in recordings("speech"):
        with path.open("rb") as file:
            samples = front_end.load(file)
        chunks = front_end.chunks(samples)
        assert sum(chunk.voiced for chunk in chunks) > 0.5 * len(samples) / 16_000, path.name
        assert all(chunk.duration <= 30 for chunk in chunks)


def test_music(front_end: AudioFrontEnd) -> None:
    """Music without words has no chunks: nothing is there to make up words from."""
    for path in recordings("music"):
        with path.open("rb") as file:
            assert front_end.chunks(front_end.load(file)) == []


def test_limits(front_end: AudioFrontEnd) -> None:
    """The front end's limits hold for every file."""
    with pytest.raises(InvalidAudio, match="120 s"):
        front_end.load(io.BytesIO(wav(tone(121).tobytes())))
