"""Word times from the decoder's cross-attention, as CTranslate2's `align` gives it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import ctranslate2
import numpy as np
from numpy.typing import NDArray

from asr_api.engine.boundaries import refined
from asr_api.engine.vocabulary import WordTokens
from asr_api.engine.voicing import FRAME_SECONDS as MEL_SECONDS
from asr_api.engine.voicing import Floats, Voicing
from asr_api.spectrogram import Features
from asr_api.transcription import Word

FRAME_SECONDS = 0.02
"""One position of the encoder's output (openai/whisper: two mel frames of 10 ms)."""


def word_times(
    alignment: ctranslate2.models.WhisperAlignmentResult,
    words: Sequence[WordTokens],
    features: Features,
    duration: float,
) -> tuple[Word, ...]:
    """The words of one chunk with their times, which never run backwards nor past `duration` seconds.

    A token begins where the alignment path first reaches it (openai/whisper, timing.py), and a word lasts from its
    first spoken token to the token after its last, so that marks add nothing. From there its boundaries are moved
    to where the audio begins and ends to sound (boundaries.py); `features` are the chunk's, of any length that
    covers it. A word of marks alone takes no time, at the end of the word before it.
    """
    if not words:
        return ()
    offsets = np.cumsum([0, *(len(word.tokens) for word in words)])
    starts, ends = _by_path(np.array(alignment.alignments), words, offsets, duration)
    spoken = np.array([word.spoken[0] < word.spoken[1] for word in words])
    voicing = Voicing.of(features[:, : max(1, round(duration / MEL_SECONDS))])
    starts[spoken], ends[spoken] = refined(starts[spoken], ends[spoken], voicing, duration)
    for mark in np.flatnonzero(~spoken):
        starts[mark] = ends[mark] = ends[mark - 1] if mark else starts[spoken.argmax()]
    return tuple(
        Word(
            word=word.text,
            start=round(float(starts[n]), 3),
            end=round(float(ends[n]), 3),
            probability=fmean(alignment.text_token_probs[offsets[n] : offsets[n + 1]]),
            tokens=word.tokens,
        )
        for n, word in enumerate(words)
    )


def _by_path(
    path: NDArray[np.int64], words: Sequence[WordTokens], offsets: NDArray[np.int64], duration: float
) -> tuple[Floats, Floats]:
    """Starts and ends by the alignment path, rows of (token, position); each word's tokens begin at its offset."""
    first = np.concatenate([[True], np.diff(path[:, 0]) > 0])
    begins = np.minimum(path[first, 1] * FRAME_SECONDS, duration)
    edges = [offset + edge for offset, word in zip(offsets, words, strict=False) for edge in word.spoken]
    times = np.maximum.accumulate(begins[np.minimum(edges, len(begins) - 1)])
    return times[::2].copy(), times[1::2].copy()
