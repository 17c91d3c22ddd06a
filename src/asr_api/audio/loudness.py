"""Quiet recordings, heard by the detector of speech as if they were loud."""

from collections.abc import Iterable

import numpy as np

from asr_api.audio.filters import Filter
from asr_api.audio.speech import BLOCK, Listener, SpeechSpan
from asr_api.transcription import Samples

LOUDER = "f=500:g=7:m=100:p=0.9:b=1"
"""Brings each half second, weighed with the 1.5 s either side, to a peak of 0.9, with a gain of at most 40 dB."""


class LoudStream:
    """Lets another listener hear a recording at the level of near speech (libavfilter's dynaudnorm).

    Each sample stays where it is. What is found is known 2 s later than by the listener itself. The model hears the
    recording as it was: at a level that goes up and down it makes more errors (docs/accuracy.md, "Bad recordings").
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._filter = Filter("dynaudnorm", LOUDER)
        self._held = np.zeros(0, np.float32)  # what does not fill a block yet

    def push(self, block: Samples) -> list[SpeechSpan]:
        """The spans that are final by now."""
        return self._hear(self._filter.push(block))

    def finish(self) -> list[SpeechSpan]:
        """The spans that were still to come. Raises MemoryError where the filter has lost samples."""
        spans = self._hear(self._filter.push(None))
        if len(self._held):
            spans += self._listener.push(self._held)
        return spans + self._listener.finish()

    @property
    def pending(self) -> SpeechSpan:
        """Bounds for the next span: it begins and ends no earlier than this."""
        return self._listener.pending

    def _hear(self, pieces: Iterable[Samples]) -> list[SpeechSpan]:
        samples = np.concatenate([self._held, *(np.clip(piece, -1, 1) for piece in pieces)])
        whole = len(samples) // BLOCK * BLOCK
        self._held = samples[whole:].copy()
        blocks = (samples[start : start + BLOCK] for start in range(0, whole, BLOCK))
        return [span for block in blocks for span in self._listener.push(block)]
