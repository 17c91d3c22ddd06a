"""The log-mel spectrogram that Whisper's encoder reads."""

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import DTypeLike, NDArray

from asr_api.transcription import CHUNK_SECONDS, SAMPLE_RATE, Samples

FLOOR = -1.5
"""What digital silence is after Whisper's scaling: (log10(1e-10) + 4) / 4."""

RANGE = 2.0
"""How far below the loudest value everything else is raised to, after the same scaling: 8 / 4."""


class LogMel:
    """Features of chunks. Holds no state between calls, so that threads may share one."""

    def __init__(self, n_mels: int, dtype: DTypeLike = np.float32) -> None:
        """`n_mels` is the model's (80, or 128 since large-v3); `dtype` float32 or float16."""
        self._extractor = FeatureExtractor(feature_size=n_mels, chunk_length=CHUNK_SECONDS)
        self._dtype = np.dtype(dtype)

    def __call__(self, samples: Samples) -> NDArray[np.float32] | NDArray[np.float16]:
        """Shape (n_mels, 3000): the log-mel spectrogram of at most 30 s, padded with silence to 30 s.

        The values are those of openai/whisper's `log_mel_spectrogram(pad_or_trim(samples))`. Raises
        ValueError for longer audio.
        """
        room = CHUNK_SECONDS * SAMPLE_RATE - len(samples)
        if room < 0:
            raise ValueError(f"a chunk of {len(samples) / SAMPLE_RATE:.2f} s is longer than {CHUNK_SECONDS} s")
        # One Fourier window of silence reaches past the last frame that hears the audio; the
        # frames after it are all alike, so that a short chunk need not pay for 30 s.
        heard = self._extractor(samples, padding=min(self._extractor.n_fft, room))
        silence = max(FLOOR, float(heard.max()) - RANGE)
        features = np.full((heard.shape[0], self._extractor.nb_max_frames), silence, self._dtype)
        features[:, : heard.shape[1]] = heard
        return features
