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

NOISE = 10
"""A band's noise is the level that this percentage of its frames do not exceed."""

LOUD = 98
"""The same for the level of its loud frames."""

RANGE = 52 / DECIBELS
"""What is so far below a band's loud frames is silence, however quiet the noise: breath, and the room."""

MARGIN = 5 / DECIBELS
"""How far noise rises over its own level by chance, in two mel bands together: only what is above counts."""

LEAST = 1.0
"""Mean dB over the bands, above noise and MARGIN, from which a frame sounds. In white noise of 5 dB, 0.8 took noise
for speech."""

SHARE = 0.08
"""The same as a share of what the loud frames have: where the recording is clean, the tail of a word is not
silence, but its echo is."""

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
        levels = _levels(features.astype(np.float32))
        sounds = levels > max(LEAST, SHARE * float(np.percentile(levels, 95)))
        starts, ends = np.flatnonzero(np.diff(np.r_[False, sounds, False])).reshape(-1, 2).T
        pause = starts[1:] - ends[:-1] >= SHORTEST_PAUSE
        starts, ends = starts[np.r_[True, pause][: len(starts)]], ends[np.r_[pause, True][: len(ends)]]
        run = ends - starts >= SHORTEST_RUN
        return cls(levels, starts[run] * FRAME_SECONDS, ends[run] * FRAME_SECONDS)


def _levels(features: NDArray[np.float32]) -> NDArray[np.float32]:
    bands = (features[::2] + features[1::2]) / 2
    ordered = np.sort(bands, axis=1)
    last = bands.shape[1] - 1
    noise, loud = ordered[:, last * NOISE // 100], ordered[:, last * LOUD // 100]
    floor = np.maximum(noise, loud - RANGE) + np.float32(MARGIN)
    levels: NDArray[np.float32] = DECIBELS * np.maximum(0, bands - floor[:, np.newaxis]).mean(axis=0)
    return levels
