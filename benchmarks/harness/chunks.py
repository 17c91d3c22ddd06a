"""Chunks that fill a context, with the words that are said in them and those that the model alone hears."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_api.audio.features import LogMel
from asr_api.spectrogram import Features, pad_into

from .calls import Tokens, Whisper
from .clips import Clip
from .composed import LANGUAGE, Composed, Sounds, compose
from .words import Spoken, word_errors

FRAMES_A_SECOND = 100
SILENCE = 0.5
"""Seconds at the end of each context in which nothing is said."""

CANDIDATES, KEPT = 8, 4
"""Chunks that are composed for a context, and those of them that are taken: the ones that the model reads best."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Features of shape (n_mels, frames), the frames that have sound, and what was said and heard in them."""

    features: Features
    frames: int
    said: str
    tokens: Tokens
    heard: str

    @property
    def errors(self) -> float:
        return word_errors([Spoken(self.said, LANGUAGE, self.heard)]) or 0.0


def chunks_of(whisper: Whisper, clips: Sequence[Clip], sounds: Sounds, context: float, seed: int) -> list[Chunk]:
    """The best read of some chunks of `context` seconds, each read alone by a greedy search.

    Raises ValueError where not even one clip fits.
    """
    log_mel = LogMel(whisper.model.n_mels)
    composed = [compose(clips, sounds, context - SILENCE, seed + number) for number in range(CANDIDATES)]
    chunks = [_read(whisper, log_mel, each, context) for each in composed]
    return sorted(chunks, key=lambda chunk: chunk.errors)[:KEPT]


def _read(whisper: Whisper, log_mel: LogMel, composed: Composed, context: float) -> Chunk:
    heard = log_mel.heard(composed.samples)
    frames = round(context * FRAMES_A_SECOND)
    features = pad_into(np.empty((len(heard), frames), np.float16), heard[:, :frames])
    (tokens,) = whisper.decode(whisper.encode(whisper.stack([features])), 1)
    sounding = min(frames, round(composed.seconds * FRAMES_A_SECOND))
    return Chunk(features, sounding, composed.text, whisper.text_tokens(tokens), whisper.text(tokens))
