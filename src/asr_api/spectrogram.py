"""Log-mel spectrograms in the shape that the engine takes."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

FRAMES = 3000
"""Frames of 10 ms in the 30 s that the encoder takes."""

HOP = 160
"""Samples from one frame to the next."""

FLOOR = -1.5
"""What digital silence is after Whisper's scaling: (log10(1e-10) + 4) / 4 (openai/whisper, audio.py)."""

RANGE = 2.0
"""How far below the loudest value everything else is raised to, after the same scaling: 8 / 4."""

Features = NDArray[np.float16] | NDArray[np.float32]
"""Log-mel spectrogram of one chunk, shape (n_mels, frames), at most 3000 frames: those that hear some of it."""

Out = TypeVar("Out", bound=NDArray[np.floating])


def padded(heard: Features, dtype: DTypeLike) -> Features:
    """`heard` in shape (n_mels, 3000), the rest of it filled with silence."""
    return pad_into(np.empty((heard.shape[0], FRAMES), dtype), heard)


def pad_into(features: Out, heard: Features) -> Out:
    """Fill `features`, of as many bands and no fewer frames, with `heard` and then with silence."""
    _convert(heard, features[:, : heard.shape[1]])
    if heard.shape[1] < features.shape[1]:
        features[:, heard.shape[1] :] = max(FLOOR, _loudest(heard) - RANGE)
    return features


def _convert(heard: Features, out: NDArray[np.floating]) -> None:
    """Half floats to single ones by their bits, a fifth of the time that NumPy takes: sign and fraction move to their
    places, and what the exponents' biases differ by, 127 less 15, is a factor. Exact for all that is finite.
    """
    if heard.dtype != np.float16 or out.dtype != np.float32:
        out[...] = heard
        return
    bits = heard.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= ~(7 << 28)  # the sign, which was drawn along
    np.multiply(bits.view(np.float32), np.float32(2.0**112), out=out)


def _loudest(heard: Features) -> float:
    """The largest value. Half floats that are not negative are ordered as their bits are, which NumPy compares a
    hundred times as fast.
    """
    if heard.dtype == np.float16 and (bits := heard.view(np.int16).max()) >= 0:
        return float(bits.view(np.float16))
    return float(heard.max())


def stacked(spectrograms: Sequence[Features], dtype: DTypeLike, frames: int = FRAMES) -> Features:
    """Spectrograms one over the other, each padded to so many frames: shape (n, n_mels, frames)."""
    batch = np.empty((len(spectrograms), spectrograms[0].shape[0], frames), dtype)
    for features, heard in zip(batch, spectrograms, strict=True):
        pad_into(features, heard)
    return batch
