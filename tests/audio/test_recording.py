"""What a worker says of a chunk is checked before anything is made of it."""

import numpy as np
import pytest

from asr_api.audio.messages import Chunk
from asr_api.audio.process import WorkerLost
from asr_api.audio.recording import features_of
from asr_api.transcription import Span

SECOND = 16_000
PAYLOAD = np.zeros((80, 100), np.float16).tobytes()


def test_a_chunk_says_where_in_it_there_is_speech() -> None:
    """Spans come through as they were sent, and may touch each other and the ends."""
    spans = ((0, 100), (100, 200), (SECOND - 1, SECOND))
    assert features_of(Chunk(0, SECOND, 1.0, spans, 100), PAYLOAD, 80).place.speech == spans


@pytest.mark.parametrize("spans", [((-1, 5),), ((5, 4),), ((0, SECOND + 1),), ((10, 20), (15, 30))])
def test_speech_that_cannot_be_is_not_believed(spans: tuple[Span, ...]) -> None:
    """Spans outside of the chunk, backwards, or over each other are those of a worker that is not right any more."""
    with pytest.raises(WorkerLost):
        features_of(Chunk(0, SECOND, 1.0, spans, 100), PAYLOAD, 80)
