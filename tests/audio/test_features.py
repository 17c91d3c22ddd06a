"""The features are Whisper's own, also where less was computed."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from faster_whisper.audio import decode_audio
from faster_whisper.feature_extractor import FeatureExtractor

from asr_api.audio.features import LogMel
from asr_api.transcription import SAMPLE_RATE, Samples

from .sounds import noise, recordings

FULL = 30 * SAMPLE_RATE


def whisper_features(samples: Samples, n_mels: int) -> np.ndarray:
    padded = np.pad(samples, (0, FULL - len(samples)))
    features: np.ndarray = FeatureExtractor(feature_size=n_mels)(padded, padding=0)
    return features


@pytest.mark.parametrize("length", [0, 1, 159, 160, 1600, 52_813, FULL - 401, FULL - 400, FULL - 399, FULL - 1, FULL])
@pytest.mark.parametrize("n_mels", [80, 128])
def test_padded_with_silence(length: int, n_mels: int) -> None:
    """Chunks of any length have the features of the same audio padded with silence to 30 s."""
    samples = noise(30)[:length]
    features = LogMel(n_mels)(samples)
    assert features.shape == (n_mels, 3000)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, whisper_features(samples, n_mels), atol=1e-3)


def test_recordings() -> None:
    """Recorded speech has the features that faster-whisper computes."""
    for path in recordings("speech")[:4]:
        samples = decode_audio(str(path))[:FULL]
        np.testing.assert_allclose(LogMel(80)(samples), whisper_features(samples, 80), atol=1e-3)


def test_half_precision() -> None:
    """float16 features are the float32 ones, rounded."""
    samples = noise(3)
    features = LogMel(80, np.float16)(samples)
    assert features.dtype == np.float16
    np.testing.assert_array_equal(features, LogMel(80)(samples).astype(np.float16))


def test_too_long() -> None:
    """More than 30 s is an error of the caller."""
    with pytest.raises(ValueError, match="longer than 30 s"):
        LogMel(80)(np.zeros(FULL + 1, np.float32))


def test_threads() -> None:
    """Threads may share one."""
    log_mel, parts = LogMel(80), [noise(seconds, seed=seconds) for seconds in (1, 5, 9)] * 3
    with ThreadPoolExecutor(4) as pool:
        for together, part in zip(pool.map(log_mel, parts), parts, strict=True):
            np.testing.assert_array_equal(together, log_mel(part))
