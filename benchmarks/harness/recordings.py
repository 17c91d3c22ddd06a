"""Recordings of a wanted length, made of clips that follow each other."""

import io
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.transcription import SAMPLE_RATE, Samples

from .clips import Clip, draw

PAUSE = 0.4
"""Seconds between two clips: so short that they stay in one chunk."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A WAV file of 16 kHz, mono, 16 bits, as it is uploaded, and its length in seconds."""

    content: bytes
    seconds: float

    @classmethod
    def of(cls, samples: Samples) -> "Recording":
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(SAMPLE_RATE)
            writer.writeframes((samples * 32767).astype("<i2").tobytes())
        return cls(file.getvalue(), len(samples) / SAMPLE_RATE)

    @property
    def file(self) -> io.BytesIO:
        return io.BytesIO(self.content)


def joined(clips: Sequence[Clip], longest: float, count: int, seed: int) -> list[Recording]:
    """`count` recordings of at most `longest` seconds, each of clips in another order that the seed decides."""
    sounds = {clip.path: sound_of(clip) for clip in clips}
    return [
        Recording.of(fill((sounds[clip.path] for clip in draw(clips, 4 * len(clips), seed + number)), longest))
        for number in range(count)
    ]


def fill(sounds: Iterable[Samples], longest: float) -> Samples:
    """One sound after the other, a pause after each, while the whole stays within `longest` seconds."""
    room = round(longest * SAMPLE_RATE)
    pause = np.zeros(round(PAUSE * SAMPLE_RATE), np.float32)
    taken = [np.zeros(0, np.float32)]
    for sound in sounds:
        if len(sound) + len(pause) <= room:
            taken += [sound, pause]
            room -= len(sound) + len(pause)
    return np.concatenate(taken)


def sound_of(clip: Clip) -> Samples:
    """At 16 kHz, one channel."""
    with clip.path.open("rb") as file:
        return decode_audio(file, AudioLimits(max_seconds=clip.seconds + 1))
