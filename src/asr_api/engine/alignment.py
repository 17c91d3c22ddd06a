"""Word times from the decoder's cross-attention, as CTranslate2's `align` gives it."""

from __future__ import annotations

from collections.abc import Sequence

import ctranslate2
import numpy as np

from asr_api.engine.vocabulary import WordTokens
from asr_api.transcription import Word

FRAME_SECONDS = 0.02
"""One position of the encoder's output (openai/whisper: two mel frames of 10 ms)."""


def word_times(
    alignment: ctranslate2.models.WhisperAlignmentResult, words: Sequence[WordTokens], duration: float
) -> tuple[Word, ...]:
    """The words of one chunk with their times, which never run backwards nor past `duration` seconds.

    A token begins where the alignment path first reaches it (openai/whisper, timing.py). A word
    lasts from its first spoken token to the token after its last, so that marks add nothing.
    """
    if not words:
        return ()
    path = np.array(alignment.alignments)
    first = np.concatenate([[True], np.diff(path[:, 0]) > 0])
    begins = np.minimum(path[first, 1] * FRAME_SECONDS, duration)
    offsets = np.cumsum([0, *(len(word.tokens) for word in words)])
    edges = [offset + edge for offset, word in zip(offsets, words, strict=False) for edge in word.spoken]
    times = np.maximum.accumulate(begins[np.minimum(edges, len(begins) - 1)]).round(3)
    return tuple(
        Word(
            word=word.text,
            start=float(times[2 * n]),
            end=float(times[2 * n + 1]),
            probability=float(np.mean(alignment.text_token_probs[offsets[n] : offsets[n + 1]])),
            tokens=word.tokens,
        )
        for n, word in enumerate(words)
    )
