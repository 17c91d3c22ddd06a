"""What the tests of several steps hear."""

import pytest

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.transcription import SAMPLE_RATE, Samples

from .sounds import recordings


@pytest.fixture(scope="session")
def speech() -> list[Samples]:
    """Some recordings, of ten seconds at most."""
    clips = []
    for path in recordings("speech")[:6]:
        with path.open("rb") as file:
            clips.append(decode_audio(file, AudioLimits(max_seconds=600))[: 10 * SAMPLE_RATE])
    return clips
