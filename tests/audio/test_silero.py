"""The network gives what onnxruntime makes of the same file."""

import numpy as np
import pytest
from faster_whisper.audio import decode_audio
from faster_whisper.vad import get_vad_model

from asr_api.audio.silero import SileroNetwork
from asr_api.transcription import Samples

from .sounds import noise, recordings


@pytest.fixture(scope="module")
def network() -> SileroNetwork:
    return SileroNetwork.load()


def agree(network: SileroNetwork, samples: Samples) -> None:
    """Feed both a block at a time, each with its own state."""
    reference = get_vad_model().session
    windows = samples[: len(samples) // 576 * 576].reshape(-1, 576)
    ours = theirs = [np.zeros((1, 1, 128), np.float32)] * 2
    for start in range(0, len(windows), 50):
        block = windows[start : start + 50]
        expected, *theirs = reference.run(None, {"input": block, "h": theirs[0], "c": theirs[1]})
        found, *ours = network.run(None, {"input": block, "h": ours[0], "c": ours[1]})
        np.testing.assert_allclose(found, expected, atol=1e-4)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["speech", "music"])
def test_recordings(network: SileroNetwork, kind: str) -> None:
    """Probabilities and state agree in recordings."""
    for path in recordings(kind)[:6]:
        agree(network, decode_audio(str(path)))


@pytest.mark.parametrize("volume", [0.0, 1e-6, 0.01, 2.0])
def test_noise(network: SileroNetwork, volume: float) -> None:
    """They agree in silence and in noise of any volume."""
    agree(network, noise(20) * np.float32(volume))


def test_one_window(network: SileroNetwork) -> None:
    """A single window is a block too; the state handed in stays as it was."""
    h = c = np.full((1, 1, 128), 0.25, np.float32)
    window = noise(1)[None, :576]
    probabilities, *_ = network.run(None, {"input": window, "h": h, "c": c})
    expected, *_ = get_vad_model().session.run(None, {"input": window, "h": h, "c": c})
    assert probabilities.shape == (1,)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    assert (h == 0.25).all()
