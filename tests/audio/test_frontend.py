"""From a file to the features of its speech, in the process itself."""

import io

import numpy as np
import pytest

from asr_api.audio.features import LogMel
from asr_api.audio.frontend import AudioFrontEnd, load_front_end
from asr_api.audio.messages import Event, Opened, Order, Progress
from asr_api.errors import InvalidAudio
from asr_api.transcription import SAMPLE_RATE, AudioOptions, FeatureChunk

from .sounds import recordings, tone, wav


@pytest.fixture(scope="module")
def front_end() -> AudioFrontEnd:
    return load_front_end()


def order(n_mels: int = 80, max_seconds: float = 120, **options: bool) -> Order:
    return Order(options=AudioOptions(**options), n_mels=n_mels, max_seconds=max_seconds, descriptor=False)


def chunks_of(events: list[Event]) -> list[FeatureChunk]:
    return [event for event in events if isinstance(event, FeatureChunk)]


def seconds_of(events: list[Event]) -> float:
    return max(event.seconds for event in events if isinstance(event, Progress))


def test_recordings(front_end: AudioFrontEnd) -> None:
    """Somebody speaks in each recording of speech, for most of it."""
    for path in recordings("speech"):
        with path.open("rb") as file:
            events = list(front_end(file, order()))
        assert isinstance(events[0], Opened)
        assert sum(chunk.place.voiced for chunk in chunks_of(events)) > 0.5 * seconds_of(events), path.name
        assert all(chunk.place.duration <= 30 for chunk in chunks_of(events))


def test_music(front_end: AudioFrontEnd) -> None:
    """Music without words has no chunks: nothing is there to make up words from."""
    for path in recordings("music"):
        with path.open("rb") as file:
            assert chunks_of(list(front_end(file, order()))) == []


def test_without_voice_activity(front_end: AudioFrontEnd) -> None:
    """All of the audio is in chunks, whatever is heard in it; the features are the model's own kind."""
    samples = tone(70)
    chunks = chunks_of(list(front_end(io.BytesIO(wav(samples.tobytes())), order(n_mels=128, vad=False))))
    assert [chunk.place.offset for chunk in chunks] == [0, *(c.place.offset + c.place.length for c in chunks[:-1])]
    assert sum(chunk.place.length for chunk in chunks) == 70 * SAMPLE_RATE
    first = chunks[0]
    expected = LogMel(128).heard((samples[: first.place.length] / 32768).astype(np.float32))
    np.testing.assert_array_equal(first.features, expected)
    assert first.features.dtype == np.float16


def test_limits(front_end: AudioFrontEnd) -> None:
    """The order's limit holds."""
    with pytest.raises(InvalidAudio, match="120 s"):
        list(front_end(io.BytesIO(wav(tone(121).tobytes())), order()))


def test_the_first_chunk_needs_little_of_a_long_file(front_end: AudioFrontEnd) -> None:
    """Chunks come while the rest is still to be decoded: after less than two minutes of ten."""
    talk = np.tile(tone(20), 30)
    decoded = 0.0
    for event in front_end(io.BytesIO(wav(talk.tobytes())), order(max_seconds=7200, vad=False)):
        if isinstance(event, FeatureChunk):
            break
        decoded = event.seconds if isinstance(event, Progress) else decoded
    assert 0 < decoded < 120
