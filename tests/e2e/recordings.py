"""The recordings in `tests/data`, and their words."""

import io
import json
import random
import unicodedata
import wave
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.transcription import SAMPLE_RATE, Samples

DATA = Path(__file__).parents[1] / "data"
BY_CHARACTER = frozenset({"zh", "ja"})


@dataclass(frozen=True)
class Recording:
    """A file with what is said in it; no words for music."""

    path: Path
    language: str | None
    text: str

    @property
    def name(self) -> str:
        return self.path.name

    def samples(self) -> Samples:
        with self.path.open("rb") as file:
            return decode_audio(file, AudioLimits(max_seconds=600))


def recordings(folder: str) -> dict[str, Recording]:
    """Those of one folder of `tests/data`, by file name."""
    entries = json.loads((DATA / folder / "manifest.json").read_text(encoding="utf-8"))
    found = (Recording(DATA / folder / entry["file"], entry["language"], entry["text"] or "") for entry in entries)
    return {recording.name: recording for recording in found}


SPEECH = recordings("speech")
CALLSIGN = recordings("callsign")
POOL = [recording for name, recording in CALLSIGN.items() if name.startswith("en-") and name.endswith(".flac")]
"""English call signs, 20 clips."""

APART = (4.0, 5.5)
"""Pauses, in seconds, so long that every clip is a chunk of its own."""

CLOSE = (0.8, 1.5)
"""Pauses so short that a chunk of 30 s holds seven or eight clips."""


def words(text: str, language: str | None = None) -> list[str]:
    """Lower-case words without punctuation; characters in Chinese and Japanese."""
    plain = "".join(" " if unicodedata.category(letter)[0] in "PSZ" else letter for letter in text.lower())
    return list("".join(plain.split())) if language in BY_CHARACTER else plain.split()


def word_errors(text: str, recording: Recording) -> int:
    """Substitutions, deletions and insertions against what is said."""
    expected, got = words(recording.text, recording.language), words(text, recording.language)
    if not expected or not got:
        return len(expected) + len(got)
    found = jiwer.process_words(" ".join(expected), " ".join(got))
    return found.substitutions + found.deletions + found.insertions


def wav(samples: Samples) -> bytes:
    """A WAV file of 16 kHz mono."""
    with io.BytesIO() as buffer:
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes((samples * 32767).astype("<i2").tobytes())
        return buffer.getvalue()


def joined(minutes: float, pauses: tuple[float, float], seed: int) -> tuple[Samples, list[str]]:
    """At least so many minutes of call signs with pauses between them, and their words."""
    chance = random.Random(seed)
    audio = {recording.name: recording.samples() for recording in POOL}
    pieces: list[Samples] = []
    said: list[str] = []
    while sum(map(len, pieces)) < minutes * 60 * SAMPLE_RATE:
        recording = chance.choice(POOL)
        pieces += [np.zeros(round(chance.uniform(*pauses) * SAMPLE_RATE), np.float32), audio[recording.name]]
        said += words(recording.text)
    return np.concatenate(pieces), said
