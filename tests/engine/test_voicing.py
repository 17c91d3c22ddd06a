"""Runs of sound in the log-mel spectrogram of known samples."""

import numpy as np
import pytest

from asr_api.audio.features import LogMel
from asr_api.engine.voicing import Voicing
from asr_api.transcription import SAMPLE_RATE, Samples

SPANS = [(0.5, 1.0), (1.2, 1.8), (2.5, 2.7)]


def noise(seconds: float, level: float) -> Samples:
    """White noise of the same seed at any level: its power in dB of full scale."""
    values = np.random.default_rng(1).standard_normal(round(seconds * SAMPLE_RATE))
    return (values * 10 ** (level / 20)).astype(np.float32)


def tones(level: float) -> Samples:
    """A chord of eight tones in SPANS, silence around it."""
    time = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    inside = np.any([(start <= time) & (time < end) for start, end in SPANS], axis=0)
    chord = sum(np.sin(2 * np.pi * frequency * time) for frequency in range(300, 3900, 450))
    samples: Samples = (inside * chord / 4 * 10 ** (level / 20)).astype(np.float32)
    return samples


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize(("level", "floor"), [(-6, -200), (-40, -200), (-6, -45), (-40, -75)])
def test_sound_is_found_where_it_is(mels: int, level: float, floor: float) -> None:
    """Within two frames, loud or soft, in digital silence and in noise, for either number of mels."""
    samples = tones(level) + noise(3, floor)
    found = Voicing.of(LogMel(mels).heard(samples))
    assert np.ravel([found.starts, found.ends]) == pytest.approx(np.ravel(np.transpose(SPANS)), abs=0.021)


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("level", [-20, -60])
def test_steady_noise_has_no_sound(mels: int, level: float) -> None:
    """However loud it is."""
    assert len(Voicing.of(LogMel(mels).heard(noise(10, level))[:, :1000]).starts) == 0


def test_digital_silence_has_no_sound() -> None:
    """Nor has a chunk of a single frame."""
    silence = LogMel(80).heard(np.zeros(SAMPLE_RATE, np.float32))
    assert len(Voicing.of(silence).starts) == len(Voicing.of(silence[:, :1]).starts) == 0
