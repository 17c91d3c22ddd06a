"""Where a chunk sounds, from the log-mel spectrogram that Whisper hears anyway."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_api.spectrogram import Features

Floats = NDArray[np.float64]

FRAME_SECONDS = 0.01
"""One frame of the spectrogram."""

DECIBELS = 40
"""What a step of 1 is in dB after Whisper's scaling, (log10 + 4) / 4 (openai/whisper, audio.py)."""

BANDS = 16
"""Mel bands are taken together to so many: noise varies less in wider ones, and alike for 80 mels and for 128."""

NOISE, LOUD = 10, 98
"""A band's noise, and its loud frames, are at the levels that these percentages of the frames do not exceed."""

RANGE = 52 / DECIBELS
"""What is so far below a band's loud frames is silence, however quiet the noise: breath, and the room."""

MARGIN = 3 / DECIBELS
"""How far noise rises over its own level by chance: only what is above counts."""

LEAST = 1.1
"""Mean dB over the bands, above noise and MARGIN, from which a frame sounds. In white noise of 15 dB the 95th
percentile of starts was 49 ms with it, 111 with 0.9 and 384 with 0.7; in quiet rooms it was 9 with each."""

SHARE = 0.08
"""The same as a share of what the loud frames have: where the recording is clean, the tail of a word is not
silence, but its echo is."""

CONTRAST = 2.5
"""dB that the loud frames have at least where there is more than noise; those of steady noise have 1.8."""

SHORTEST_PAUSE = 3
"""Frames. What is shorter is within a sound."""

SHORTEST_RUN = 2
"""Frames. What is shorter is a click."""


@dataclass(frozen=True, slots=True, eq=False)
class Voicing:
    """Runs of sound with pauses between them, in seconds from the start of the chunk, in order.

    `levels` is how far each frame of 10 ms stands out of the noise, in dB, mean over the bands.
    """

    levels: NDArray[np.float32]
    starts: Floats
    ends: Floats

    @classmethod
    def of(cls, features: Features) -> Voicing:
        """`features`, shape (n_mels, frames), are those of the chunk without the silence that fills them up."""
        levels = _levels(features)
        loud = float(np.percentile(levels, LOUD))
        sounds = (levels > max(LEAST, SHARE * loud)) & (loud >= CONTRAST)
        starts, ends = np.flatnonzero(np.diff(np.r_[False, sounds, False])).reshape(-1, 2).T
        pause = starts[1:] - ends[:-1] >= SHORTEST_PAUSE
        starts, ends = starts[np.r_[True, pause][: len(starts)]], ends[np.r_[pause, True][: len(ends)]]
        run = ends - starts >= SHORTEST_RUN
        return cls(levels, starts[run] * FRAME_SECONDS, ends[run] * FRAME_SECONDS)


def _levels(features: Features) -> NDArray[np.float32]:
    bands = features.reshape(BANDS, -1, features.shape[1]).mean(axis=1, dtype=np.float32)
    ordered = np.sort(bands, axis=1)
    last = bands.shape[1] - 1
    noise, loud = ordered[:, last * NOISE // 100], ordered[:, last * LOUD // 100]
    floor = np.maximum(noise, loud - RANGE) + np.float32(MARGIN)
    levels: NDArray[np.float32] = DECIBELS * np.maximum(0, bands - floor[:, np.newaxis]).mean(axis=0)
    return levels
