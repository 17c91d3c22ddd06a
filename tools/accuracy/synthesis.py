"""Speech of voices that the call-sign model was not trained on, by espeak-ng.

The training (tools/callsign_model/corpus.py) drew variants m1, m3, m7, f1, f2, f4 or none, 110 to 190
words a minute and pitches from 25 to 75; each utterance here is outside all three.
"""

import io
import random
import shutil
import subprocess
from collections.abc import Sequence

import numpy as np
from tools.callsign_model.corpus import DIGITS, vocabulary

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.transcription import SAMPLE_RATE, Samples

LANGUAGES = tuple(DIGITS)
ACCENTS = {
    "en": ("en-us", "en-gb", "en-us-nyc"),
    "de": ("de",),
    "es": ("es", "es-419"),
    "fr": ("fr-fr", "fr-be", "fr-ch"),
    "it": ("it",),
    "zh": ("cmn",),
}
VARIANTS = (
    *("m4", "m5", "m6", "f3", "f5", "Diogo", "Mike", "max", "Mario", "john", "Gene", "Hugo", "Alex", "adam", "rob"),
    "edward",
)
"""Those not trained on of which faster-whisper, with the call-sign model, reads at least four words in five."""
SPEEDS = (*range(100, 108), *range(193, 206))
"""Words a minute."""
PITCHES = (*range(14, 23), *range(78, 87))
SNR = 20.0
"""Signal-to-noise ratio in dB; the power of the signal is that of its speech alone."""
PEAK = 0.7
FLOOR = 0.01
"""What is quieter than this share of a word's peak is trimmed from its ends."""
LIMITS = AudioLimits(max_seconds=60, min_seconds=0)


class NoSynthesiser(Exception):
    """espeak-ng is not installed."""


def require_synthesiser() -> None:
    """Raises NoSynthesiser with what to do."""
    if not shutil.which("espeak-ng"):
        raise NoSynthesiser("espeak-ng is missing: apt-get install espeak-ng")


class Voice:
    """A voice drawn from `rng`: accent, variant, speed and pitch."""

    def __init__(self, language: str, rng: random.Random) -> None:
        name = f"{rng.choice(ACCENTS[language])}+{rng.choice(VARIANTS)}"
        options = ["-v", name, "-s", str(rng.choice(SPEEDS)), "-p", str(rng.choice(PITCHES))]
        self._command = ["espeak-ng", *options, "--stdout"]

    def say(self, text: str) -> Samples:
        """The text, without silence at its ends, peak 1. Raises CalledProcessError."""
        wav = subprocess.run([*self._command, text], capture_output=True, check=True).stdout
        return trim(decode_audio(io.BytesIO(wav), LIMITS))


def draw_words(language: str, count: int, rng: random.Random) -> list[str]:
    """Words that the call-sign model knows, each equally likely."""
    return rng.choices(vocabulary(language), k=count)


def trim(samples: Samples) -> Samples:
    """What lies between the first and the last sample above FLOOR, scaled to a peak of 1. Raises ValueError."""
    levels = np.abs(samples)
    loud = np.flatnonzero(levels > FLOOR * levels.max(initial=0))
    if not loud.size:
        raise ValueError("nothing was said")
    kept: Samples = samples[loud[0] : loud[-1] + 1] / levels.max()
    return kept


def lay(
    pieces: Sequence[Samples], pauses: Sequence[float], seed: int, snr: float = SNR
) -> tuple[Samples, list[tuple[float, float]]]:
    """Speech with pauses of so many seconds before, between and after, in white noise at `snr` dB, peak PEAK.

    There is one pause more than there are pieces. Also returns where each piece starts and ends, in seconds.
    """
    silences = [np.zeros(round(pause * SAMPLE_RATE), np.float32) for pause in pauses]
    parts = [silences[0]]
    spans = []
    for piece, silence in zip(pieces, silences[1:], strict=True):
        start = sum(map(len, parts))
        spans.append((start / SAMPLE_RATE, (start + len(piece)) / SAMPLE_RATE))
        parts += [piece, silence]
    clean = np.concatenate(parts)
    power = float(np.mean(np.square(np.concatenate(pieces))))
    noise = np.random.default_rng(seed).standard_normal(len(clean)) * np.sqrt(power / 10 ** (snr / 10))
    noisy = clean + noise
    return (PEAK / np.abs(noisy).max() * noisy).astype(np.float32), spans
