"""Noisy recordings come out clearer, and every sample stays in its place."""

import io
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from asr_api.audio.blocks import BLOCK
from asr_api.audio.cleaning import denoised, noise_floor
from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.transcription import Samples

from .sounds import check_clicks, check_samples, clicks, encoded, level, noise_of

LIMITS = AudioLimits(max_seconds=600)


def cleaned(samples: Samples) -> Samples:
    blocks = (samples[start : start + BLOCK] for start in range(0, len(samples), BLOCK))
    return np.concatenate([np.zeros(0, np.float32), *denoised(blocks)])


@pytest.mark.parametrize("length", [0, 1, 399, 400, 401, 1_600, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 12_345])
def test_length_is_kept(length: int) -> None:
    """As many samples come out as went in, all finite and within -1..1."""
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    result = cleaned(samples)
    check_samples(result, length)


def test_position_is_kept() -> None:
    """A click stays where it is to the millisecond: at the start, over the edge of a block, and at the very end."""
    length = 2 * BLOCK + 7_000
    places = [800, BLOCK // 2, BLOCK - 4, BLOCK + 20_000, length - 300]
    check_clicks(cleaned(clicks(length, places)), places)


@pytest.mark.parametrize(("kind", "gain"), [("white", 6.0), ("pink", 4.0), ("hum", 3.0)])
@pytest.mark.parametrize("loudness", [1.0, 0.05])
def test_noise(speech: list[Samples], kind: str, gain: float, loudness: float) -> None:
    """Noise 5 dB under the speech is lowered by some decibels, in a quiet recording as in a loud one."""
    ratios = []
    for number, part in enumerate(speech):
        voice = part * np.float32(loudness)
        noisy = voice + noise_of(kind, len(part), number) * np.float32(10 ** ((level(voice) - 5) / 20))
        kept = cleaned(voice)  # what clean-up does to the voice itself is not noise
        ratios.append(level(kept) - level(cleaned(noisy) - kept))
    assert np.mean(ratios) > 5 + gain


def test_clear_recording(speech: list[Samples]) -> None:
    """A recording without noise loses next to nothing but what lies below any voice."""
    for part in speech:
        assert abs(level(cleaned(part)) - level(part)) < 1


def test_noise_that_begins_late(speech: list[Samples]) -> None:
    """The noise is listened for all along, not only at the start."""
    hiss = noise_of("white", 3 * BLOCK, 1) * np.float32(0.02)
    hiss[:BLOCK] *= np.float32(0.001)
    assert level(cleaned(hiss)[2 * BLOCK :]) < level(hiss[2 * BLOCK :]) - 8


def test_noise_floor() -> None:
    """It is that of the pauses, and within what the filter takes."""
    hiss = noise_of("white", BLOCK, 1) * np.float32(0.01)
    loud = hiss.copy()
    loud[: BLOCK // 2] *= 50
    assert noise_floor(hiss) == pytest.approx(-40 + 3, abs=2)
    assert noise_floor(loud) == pytest.approx(noise_floor(hiss), abs=2)
    assert noise_floor(np.zeros(BLOCK, np.float32)) == -80
    assert noise_floor(np.ones(BLOCK, np.float32)) == -20
    assert noise_floor(np.ones(5, np.float32)) == -80


def test_memory_is_bounded() -> None:
    """Five minutes take no more memory than some blocks."""

    def blocks() -> Iterator[Samples]:
        for _ in range(40):
            yield np.zeros(BLOCK, np.float32)

    tracemalloc.start()
    try:
        total = sum(len(block) for block in denoised(blocks()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 40 * BLOCK
    assert peak < 16 * BLOCK * np.dtype(np.float32).itemsize


def test_decoding_cleans_up_if_asked() -> None:
    """A file is cleaned up while it is decoded, and else left alone."""
    rumbling = encoded("wav", "pcm_s16le", pcm=(8000 * np.sin(np.arange(48_000) / 500)).astype(np.int16))
    assert level(decode_audio(io.BytesIO(rumbling), LIMITS)) > -20
    assert level(decode_audio(io.BytesIO(rumbling), LIMITS, denoise=True)) < -30
