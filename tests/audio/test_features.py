"""The features are Whisper's own, also where less was computed."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from faster_whisper.audio import decode_audio
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from asr_api.audio.features import LogMel
from asr_api.spectrogram import padded
from asr_api.transcription import SAMPLE_RATE, Samples

from .sounds import noise, recordings

FULL = 30 * SAMPLE_RATE


def whisper_features(samples: Samples, n_mels: int) -> NDArray[np.float32]:
    features: NDArray[np.float32] = FeatureExtractor(feature_size=n_mels)(
        np.pad(samples, (0, FULL - len(samples))), padding=0
    )
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


@pytest.mark.parametrize("n_mels", [80, 128])
def test_recordings(n_mels: int) -> None:
    """Recorded speech has the features that faster-whisper computes."""
    log_mel = LogMel(n_mels)
    for path in recordings("speech")[:8]:
        samples = decode_audio(str(path))[:FULL]
        np.testing.assert_allclose(log_mel(samples), whisper_features(samples, n_mels), atol=1e-3)


@pytest.mark.parametrize("volume", [0.0, 1e-7, 1e-3, 2.0])
@pytest.mark.parametrize("n_mels", [80, 128])
def test_volume(volume: float, n_mels: int) -> None:
    """So has noise of any volume, from digital silence to full scale, and what follows it."""
    samples = noise(7) * np.float32(volume)
    np.testing.assert_allclose(LogMel(n_mels)(samples), whisper_features(samples, n_mels), atol=1e-3)


def test_loudest() -> None:
    """So has a tone that is as loud as samples can say."""
    samples = np.sign(np.sin(np.arange(3 * SAMPLE_RATE) * 0.2)).astype(np.float32)
    np.testing.assert_allclose(LogMel(128)(samples), whisper_features(samples, 128), atol=1e-3)


@pytest.mark.parametrize(("length", "frames"), [(0, 2), (1600, 12), (FULL - 1, 3000), (FULL, 3000)])
def test_heard(length: int, frames: int) -> None:
    """Only the frames that hear some of the audio are given, as half floats."""
    heard = LogMel(128).heard(noise(30)[:length])
    assert heard.shape == (128, frames)
    assert heard.dtype == np.float16


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_padded(dtype: type[np.float16 | np.float32]) -> None:
    """The engine's features begin with what was heard and end in silence, in the dtype asked for."""
    heard = LogMel(80).heard(noise(3))
    features = padded(heard, dtype)
    assert features.shape == (80, 3000)
    assert features.dtype == dtype
    np.testing.assert_array_equal(features[:, : heard.shape[1]], heard)
    assert (features[:, heard.shape[1] :] == dtype(heard.max() - np.float32(2))).all()
    np.testing.assert_array_equal(LogMel(80, dtype)(noise(3)), features)


def test_too_long() -> None:
    """More than 30 s is an error of the caller."""
    with pytest.raises(ValueError, match="longer than 30 s"):
        LogMel(80).heard(np.zeros(FULL + 1, np.float32))


def test_threads() -> None:
    """Threads may share one."""
    log_mel, parts = LogMel(80), [noise(seconds, seed=seconds) for seconds in (1, 5, 9)] * 3
    with ThreadPoolExecutor(4) as pool:
        for together, part in zip(pool.map(log_mel.heard, parts), parts, strict=True):
            np.testing.assert_array_equal(together, log_mel.heard(part))
