"""Word times from the decoder's cross-attention, as CTranslate2's `align` gives it."""

from __future__ import annotations

from collections.abc import Sequence

import ctranslate2
import numpy as np

from asr_api.transcription import Word

FRAME_SECONDS = 0.02
"""One position of the encoder's output (openai/whisper: two mel frames of 10 ms)."""


def word_times(
    alignment: ctranslate2.models.WhisperAlignmentResult,
    words: Sequence[tuple[str, tuple[int, ...]]],
    duration: float,
) -> tuple[Word, ...]:
    """The words of one chunk with their times, which never run backwards nor past `duration` seconds.

    A token begins where the alignment path first reaches it, as in openai/whisper's timing.py.
    """
    if not words:
        return ()
    path = np.array(alignment.alignments)
    first = np.concatenate([[True], np.diff(path[:, 0]) > 0])
    begins = np.minimum(path[first, 1] * FRAME_SECONDS, duration)
    edges = np.cumsum([0, *(len(tokens) for _, tokens in words)])
    times = np.maximum.accumulate(begins[np.minimum(edges, len(begins) - 1)])
    return tuple(
        Word(
            word=text,
            start=round(float(times[n]), 3),
            end=round(float(times[n + 1]), 3),
            probability=float(np.mean(alignment.text_token_probs[edges[n] : edges[n + 1]])),
            tokens=tokens,
        )
        for n, (text, tokens) in enumerate(words)
    )
