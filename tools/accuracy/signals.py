"""Samples from files and into files: 16 kHz, mono, within full scale."""

from pathlib import Path

import av
import numpy as np

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.transcription import SAMPLE_RATE, Samples

LIMITS = AudioLimits(max_seconds=4 * 3600, min_seconds=0)


def read(path: Path) -> Samples:
    """Any file that the service reads. Raises InvalidAudio."""
    with path.open("rb") as file:
        return decode_audio(file, LIMITS)


def write_flac(path: Path, samples: Samples, rate: int = SAMPLE_RATE) -> Path:
    """16 bits a sample, without loss; what is beyond full scale is clipped."""
    whole = (np.clip(samples, -1, 1) * 32767).round().astype(np.int16)
    temporary = path.with_suffix(".part")
    with av.open(str(temporary), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(whole[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    temporary.rename(path)
    return path


def power(samples: Samples) -> float:
    """The mean square."""
    return float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
