"""Sounds in which nobody speaks, made from a seed: silence, noise, tones, breath."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_api.transcription import SAMPLE_RATE, Samples

from .signals import power

Floats = NDArray[np.float64]
Make = Callable[[float, np.random.Generator], Floats]
"""So many seconds of a sound, at any level."""

CLICKS_A_SECOND = 0.5
BREATH_SECONDS = 3.5
"""A breath in, a breath out and the rest after them, of somebody at rest (some 16 a minute)."""


def sound(name: str, level: float, seconds: float, seed: int) -> Samples:
    """One of `SOUNDS` at `level` decibels of full scale (root mean square), clipped at it.

    Silence is silence at any level; of clicks, which are mostly silence, it is the peak that has the level.
    """
    made = SOUNDS[name](seconds, np.random.default_rng(seed))
    loudness = float(np.abs(made).max()) if name in BY_PEAK else float(np.sqrt(power(made.astype(np.float32))))
    scaled = made * (10 ** (level / 20) / loudness if loudness else 0.0)
    return np.clip(scaled, -1, 1).astype(np.float32)


def silence(seconds: float, _: np.random.Generator) -> Floats:
    """Zeros."""
    return np.zeros(round(seconds * SAMPLE_RATE))


def clicks(seconds: float, rng: np.random.Generator) -> Floats:
    """Clicks of 2 ms at random times in silence."""
    made = silence(seconds, rng)
    for start in rng.integers(0, len(made) - SAMPLE_RATE, round(seconds * CLICKS_A_SECOND)):
        made[start : start + 32] += np.hanning(32) * rng.choice((-1, 1)) * rng.uniform(0.3, 1)
    return made


def white(seconds: float, rng: np.random.Generator) -> Floats:
    """Equal power at all frequencies."""
    made: Floats = rng.standard_normal(round(seconds * SAMPLE_RATE))
    return made


def pink(seconds: float, rng: np.random.Generator) -> Floats:
    """Power falling by 3 dB an octave."""
    return shaped(white(seconds, rng), lambda hertz: np.maximum(hertz, 20) ** -0.5)


def room(seconds: float, rng: np.random.Generator) -> Floats:
    """An empty room: power falling by 6 dB an octave, with a fan's slow swell and a trace of mains hum."""
    air = shaped(white(seconds, rng), lambda hertz: np.maximum(hertz, 40) ** -1.0)
    swell = 1 + 0.3 * np.sin(2 * np.pi * 0.15 * _times(len(air)))
    made: Floats = air / air.std() * swell + 0.2 * hum(seconds, rng)
    return made


def hum(seconds: float, rng: np.random.Generator) -> Floats:
    """The mains: 50 Hz and its harmonics, each at a level and a phase of its own."""
    made = silence(seconds, rng)
    for harmonic in range(1, 11):
        made += tone(50 * harmonic, len(made), rng.uniform(0, 6)) * rng.uniform(0.3, 1) / harmonic
    return made


def dial(seconds: float, rng: np.random.Generator) -> Floats:
    """What a telephone plays: dial, ringing and busy tones of Europe (425 Hz) and America, and touch tones.

    ITU-T E.180 and Q.23; each for 4 s, in turn.
    """
    length = round(4 * SAMPLE_RATE)
    parts = [_telephone(pitches, cadence, length) for pitches, cadence in TELEPHONE]
    parts += [_telephone(rng.choice(TOUCH, 2), (0.12, 0.08), length)]
    return np.resize(np.concatenate(parts), round(seconds * SAMPLE_RATE))


TELEPHONE: tuple[tuple[tuple[float, ...], tuple[float, float]], ...] = (
    ((425.0,), (4.0, 0.0)),
    ((350.0, 440.0), (4.0, 0.0)),
    ((425.0,), (1.0, 3.0)),
    ((440.0, 480.0), (2.0, 2.0)),
    ((425.0,), (0.5, 0.5)),
    ((480.0, 620.0), (0.25, 0.25)),
)
"""Pitches in Hz, and seconds on and off."""

TOUCH = (697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0)


def breath(seconds: float, rng: np.random.Generator) -> Floats:
    """Breathing: noise between 300 and 3500 Hz that swells and ebbs, in and then longer out, and rests."""
    air = shaped(white(seconds, rng), lambda hertz: ((hertz > 300) & (hertz < 3500)) / np.maximum(hertz, 300) ** 0.5)
    made = np.full(len(air), 0.002)
    start = 0
    while start < len(made):
        whole = round(BREATH_SECONDS * rng.uniform(0.8, 1.2) * SAMPLE_RATE)
        for begin, share, force in ((0.0, 0.3, 0.7), (0.4, 0.4, 1.0)):
            first, length = start + round(begin * whole), round(share * whole)
            made[first : first + length] += force * np.hanning(length)[: max(0, len(made) - first)]
        start += whole
    made *= air / air.std()
    return made


def shaped(noise: Floats, gain: Callable[[NDArray[np.floating[Any]]], Floats]) -> Floats:
    """The noise with each of its frequencies, in Hz, taken times a gain."""
    hertz = np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE)
    made: Floats = np.fft.irfft(np.fft.rfft(noise) * gain(hertz), len(noise))
    return made


def tone(hertz: float, length: int, phase: float = 0.0) -> Floats:
    """A sine of so many samples."""
    made: Floats = np.sin(2 * np.pi * hertz * _times(length) + phase)
    return made


def _telephone(pitches: "tuple[float, ...] | NDArray[np.float64]", cadence: tuple[float, float], length: int) -> Floats:
    on, off = cadence
    made = sum((tone(pitch, length) for pitch in pitches), np.zeros(length))
    made[_times(length) % (on + off) >= on] = 0
    return made


def _times(length: int) -> Floats:
    return np.arange(length) / SAMPLE_RATE


SOUNDS: Mapping[str, Make] = MappingProxyType(
    {
        "silence": silence,
        "clicks": clicks,
        "white noise": white,
        "pink noise": pink,
        "room noise": room,
        "mains hum": hum,
        "telephone tones": dial,
        "breathing": breath,
    }
)

BY_PEAK = frozenset({"clicks"})
LEVELLESS = frozenset({"silence"})
"""Sounds that are the same at every level."""
