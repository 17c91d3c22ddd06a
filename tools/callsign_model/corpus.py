"""Speech corpus of the call-sign Whisper: synthesised phrases, and the 30 s windows made of them.

English phrases are drawn from the NATO spelling alphabet and the ten digits; the other
languages speak digits only. The speech comes from two synthesisers that Debian packages,
espeak-ng and flite, so a run of the recipe needs nothing from the network:

    apt-get install espeak-ng flite

A phrase is one utterance: (language, words, samples). A window is what Whisper sees: up to
30 s of phrases with pauses between them, noise, and the label tokens' raw material.
"""

from __future__ import annotations

import io
import pickle
import random
import subprocess
import wave
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000

Samples = NDArray[np.float32]
Words = tuple[str, ...]

NATO = [
    *("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india"),
    *("juliet", "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo"),
    *("sierra", "tango", "uniform", "victor", "whiskey", "xray", "yankee", "zulu"),
]

DIGITS = {
    "en": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "de": ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"],
    "es": ["cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"],
    "fr": ["zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"],
    "it": ["zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove"],
    "zh": list("零一二三四五六七八九"),
}

VOICES = {
    "en": ["en-us", "en-gb", "en-gb-x-rp"],
    "de": ["de"],
    "es": ["es", "es-419"],
    "fr": ["fr-fr", "fr-be"],
    "it": ["it"],
    "zh": ["cmn"],
}
VARIANTS = ["", "+m1", "+m3", "+m7", "+f1", "+f2", "+f4"]
FLITE_VOICES = ["awb", "rms", "slt", "kal16"]

LANGUAGE_WEIGHTS = {"en": 10, "de": 3, "es": 3, "fr": 3, "it": 3, "zh": 4}
"""How often each language is spoken in the training windows."""


@dataclass(frozen=True)
class Phrase:
    """One utterance; `samples` are mono at `SAMPLE_RATE`, shape (n,), silence trimmed, peak 1."""

    language: str
    words: Words
    samples: Samples


def vocabulary(language: str) -> list[str]:
    """All words that are spoken in this language."""
    return DIGITS["en"] + NATO if language == "en" else DIGITS[language]


def to_text(language: str, words: Words) -> str:
    """The transcript of a phrase: Whisper's leading space, none inside Chinese."""
    return "".join(words) if language == "zh" else " " + " ".join(words)


def to_english(language: str, words: Words) -> Words:
    """The words of a phrase translated."""
    if language == "en":
        return words
    return tuple(DIGITS["en"][DIGITS[language].index(word)] for word in words)


def _trim(samples: Samples, floor: float = 0.01) -> Samples:
    loud = np.flatnonzero(np.abs(samples) > floor)
    return samples[loud[0] : loud[-1] + 1] if loud.size else samples[:0]


def _resample(samples: Samples, rate: int) -> Samples:
    if rate == SAMPLE_RATE:
        return samples
    length = int(len(samples) * SAMPLE_RATE / rate)
    spectrum = np.fft.rfft(samples)
    bins = length // 2 + 1
    resized = np.zeros(bins, dtype=spectrum.dtype)
    keep = min(bins, len(spectrum))
    resized[:keep] = spectrum[:keep]
    return np.fft.irfft(resized, length).astype(np.float32) * (length / len(samples))


def _command(language: str, text: str, rng: random.Random) -> list[str]:
    """The synthesiser's command line, with a voice, speed and pitch drawn from rng."""
    if language == "en" and rng.random() < 0.35:
        voice = rng.choice(FLITE_VOICES)
        stretch = f"duration_stretch={rng.uniform(0.8, 1.3):.2f}"
        return ["flite", "--setf", stretch, "-voice", voice, "-t", text, "-o", "/dev/stdout"]
    voice = rng.choice(VOICES[language]) + rng.choice(VARIANTS)
    speed, pitch = rng.randint(110, 190), rng.randint(25, 75)
    return ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", text]


def _read_wav(wav: bytes) -> tuple[Samples, int]:
    """Samples and rate of a mono 16-bit file; what a pipe's header says of its length is not believed."""
    with wave.open(io.BytesIO(wav)) as file:
        pcm = file.readframes(file.getnframes())
        return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768), file.getframerate()


def synthesise(language: str, words: Words, rng: random.Random) -> Phrase | None:
    """Speak the words once; None where the synthesiser failed or hardly said anything."""
    separator = rng.choice([" ", " ", ", "])
    command = _command(language, separator.join(words), rng)
    wav = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    try:
        samples, rate = _read_wav(wav)
    except (wave.Error, EOFError):
        return None
    samples = _trim(_resample(samples, rate))
    if len(samples) < 0.15 * SAMPLE_RATE:
        return None
    return Phrase(language, words, samples / np.abs(samples).max())


def _draw(rng: random.Random) -> tuple[str, Words, random.Random]:
    """Language and words of a phrase, and the generator that its voice is drawn from."""
    languages, weights = list(LANGUAGE_WEIGHTS), list(LANGUAGE_WEIGHTS.values())
    language = rng.choices(languages, weights)[0]
    length = rng.choice([1, 1, 2, 3, 3, 4, 5, 6, 7])
    words = vocabulary(language)
    again = 1.0 if rng.random() < 0.04 else 0.1  # all one word trips a compression-ratio check
    phrase = [rng.choice(words)]
    while len(phrase) < length:
        phrase.append(phrase[-1] if rng.random() < again else rng.choice(words))
    return language, tuple(phrase), random.Random(rng.random())


def synthesise_bank(count: int, seed: int, path: Path) -> list[Phrase]:
    """Synthesise `count` phrases, or read them back from `path` where they are there already."""
    if path.exists():
        phrases: list[Phrase] = pickle.loads(path.read_bytes())
        return phrases
    rng = random.Random(seed)
    jobs = [_draw(rng) for _ in range(count)]
    with ThreadPoolExecutor(4) as pool:
        phrases = [phrase for phrase in pool.map(lambda job: synthesise(*job), jobs) if phrase]
    path.write_bytes(pickle.dumps(phrases))
    return phrases


@dataclass(frozen=True)
class Window:
    """What the model hears at once.

    `samples` are mono at `SAMPLE_RATE`, as long as the window or shorter (the caller pads);
    `segments` are (start s, end s, words); `cut` is where a phrase starts, in seconds, that the
    window's end cuts off.
    """

    samples: Samples
    language: str
    segments: list[tuple[float, float, Words]]
    cut: float | None


def _noise(length: int, rng: np.random.Generator) -> Samples:
    white = rng.standard_normal(length).astype(np.float32)
    if rng.random() < 0.5:  # towards pink: a running mean
        kernel = np.ones(int(rng.integers(2, 12)), dtype=np.float32)
        white = np.convolve(white, kernel / kernel.sum(), mode="same")
    noise: Samples = white / (np.abs(white).max() + 1e-9)
    return noise


def _respeed(samples: Samples, rng: np.random.Generator) -> Samples:
    """Every other time the phrase up to 10 % faster or slower, its pitch with it: more voices."""
    if rng.random() < 0.5:
        return samples
    length = int(len(samples) / rng.uniform(0.9, 1.1))
    return np.interp(np.linspace(0, len(samples) - 1, length), np.arange(len(samples)), samples).astype(np.float32)


def _lay(
    audio: Samples, bank: Sequence[Phrase], rng: np.random.Generator, may_cut: bool
) -> tuple[list[tuple[float, float, Words]], float | None]:
    """Add phrases with pauses to `audio`, in place; segments and cut as `Window` has them."""
    segments: list[tuple[float, float, Words]] = []
    position, length = int(rng.exponential(0.4) * SAMPLE_RATE), len(audio)
    while position < length:
        phrase = bank[int(rng.integers(len(bank)))]
        speech = _respeed(phrase.samples, rng)
        end = position + len(speech)
        gain = rng.uniform(0.5, 1.0)
        if end > length:
            if not may_cut or length - position <= 0.2 * SAMPLE_RATE:
                break
            audio[position:] += gain * speech[: length - position]
            return segments, position / SAMPLE_RATE
        audio[position:end] += gain * speech
        segments.append((position / SAMPLE_RATE, end / SAMPLE_RATE, phrase.words))
        pause = rng.uniform(0.35, 1.2) if rng.random() < 0.85 else rng.uniform(1.2, 5.0)
        position = end + int(pause * SAMPLE_RATE)
    return segments, None


def compose(by_language: Mapping[str, Sequence[Phrase]], seconds: float, rng: np.random.Generator) -> Window:
    """Lay phrases of one language into a window of at most `seconds`, with noise and gain."""
    languages = list(LANGUAGE_WEIGHTS)
    weights = np.array([LANGUAGE_WEIGHTS[name] for name in languages], dtype=float)
    language = languages[rng.choice(len(languages), p=weights / weights.sum())]

    full = int(seconds * SAMPLE_RATE)
    length = full if rng.random() < 0.5 else int(rng.uniform(1.0, seconds) * SAMPLE_RATE)
    audio = np.zeros(length, dtype=np.float32)
    segments: list[tuple[float, float, Words]] = []
    cut = None
    if rng.random() > 0.06:  # else: nothing is said
        segments, cut = _lay(audio, by_language[language], rng, may_cut=length == full)

    level = 10 ** rng.uniform(-1.2, -0.05)
    snr = 10 ** (-rng.uniform(8, 45) / 20) if rng.random() < 0.8 else 0.0
    if length:
        audio = (level * (audio + snr * _noise(length, rng))).astype(np.float32)
    return Window(np.clip(audio, -1, 1), language, segments, cut)
