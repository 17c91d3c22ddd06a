"""The log-mel spectrogram that Whisper's encoder reads."""

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray

from asr_api.spectrogram import RANGE, padded
from asr_api.transcription import CHUNK_SECONDS, SAMPLE_RATE, Samples

QUIETEST = np.float32(1e-10)
"""The least energy that counts (openai/whisper, audio.py, as is all the scaling here)."""

AT_ONCE = 400
"""Frames that are transformed together. Their spectra stay in the processor's cache, which takes half
the time and a quarter of the memory of faster-whisper's FeatureExtractor, with all frames at once."""


class LogMel:
    """Features of chunks. Holds no state between calls, so that threads may share one."""

    def __init__(self, n_mels: int, dtype: DTypeLike = np.float32) -> None:
        """`n_mels` is the model's (80, or 128 since large-v3); `dtype`, of what a call gives, float32 or float16."""
        extractor = FeatureExtractor(feature_size=n_mels, chunk_length=CHUNK_SECONDS)
        self._filters: NDArray[np.float32] = extractor.mel_filters
        self._hop: int = extractor.hop_length
        self._window = np.hanning(extractor.n_fft + 1)[:-1].astype(np.float32)
        self._dtype = np.dtype(dtype)

    def __call__(self, samples: Samples) -> NDArray[np.float32] | NDArray[np.float16]:
        """Shape (n_mels, 3000): the log-mel spectrogram of at most 30 s, padded with silence to 30 s.

        The values are those of openai/whisper's `log_mel_spectrogram(pad_or_trim(samples))`. Raises
        ValueError for longer audio.
        """
        return padded(self.heard(samples), self._dtype)

    def heard(self, samples: Samples) -> NDArray[np.float16]:
        """Shape (n_mels, frames), at most 3000 frames: only those that hear some of the audio.

        `padded` makes the whole spectrogram of it: the frames after these are all alike, so that a
        short chunk need not pay for 30 s. Raises ValueError for more than 30 s.
        """
        room = CHUNK_SECONDS * SAMPLE_RATE - len(samples)
        if room < 0:
            raise ValueError(f"a chunk of {len(samples) / SAMPLE_RATE:.2f} s is longer than {CHUNK_SECONDS} s")
        reach = len(self._window)
        audio = np.pad(np.pad(samples, (0, min(reach, room))), reach // 2, mode="reflect")
        energy = self._energy(sliding_window_view(audio, reach)[:: self._hop][:-1])
        features = (np.log10(np.maximum(energy, QUIETEST)) + 4) / 4
        heard: NDArray[np.float16] = np.maximum(features, features.max() - RANGE).astype(np.float16)
        return heard

    def _energy(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """The energy in each mel band, shape (n_mels, frames)."""
        energy = np.empty((len(self._filters), len(frames)), np.float32)
        for start in range(0, len(frames), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            spectra = np.abs(np.fft.rfft(frames[part] * self._window))
            np.matmul(self._filters, np.square(spectra).T, out=energy[:, part])
        return energy
