"""Continuous speech of which the place of each word is known: espeak-ng tells when it begins it."""

import ctypes
import random
from collections.abc import Sequence
from ctypes.util import find_library
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
from benchmarks.harness.clips import Clip
from numpy.typing import NDArray

from .signals import write_flac
from .synthesis import NoSynthesiser
from .word_times import PlacedWord, SpacedClip

VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m4", "en-us+Mike")
SPEEDS = (125, 185)
"""Slowest and fastest, in words a minute."""
PITCHES = (30, 70)
SILENCE = 0.4
"""Seconds before and after."""
PEAK = 0.6
NOISE = 0.002
"""Of full scale, so that silence is not digital."""

SYNCHRONOUS, EVENTS_OF_MS, UTF8 = 2, 500, 1
RATE, PITCH = 1, 3
LIST_ENDS, WORD = 0, 1
"""speak_lib.h: how it is opened, its parameters, and its events."""


class _Event(ctypes.Structure):
    _fields_: ClassVar = [
        *(("type", ctypes.c_int), ("message", ctypes.c_uint), ("position", ctypes.c_int), ("length", ctypes.c_int)),
        *(("milliseconds", ctypes.c_int), ("sample", ctypes.c_int), ("user", ctypes.c_void_p)),
        ("id", ctypes.c_char * 8),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Synthesiser:
    """libespeak-ng, of which there is one a process."""

    def __init__(self) -> None:
        """Raises NoSynthesiser."""
        name = find_library("espeak-ng")
        if name is None:
            raise NoSynthesiser("espeak-ng is missing: apt-get install espeak-ng")
        self._library = ctypes.CDLL(name)
        self.rate: int = self._library.espeak_Initialize(SYNCHRONOUS, EVENTS_OF_MS, None, 0)
        self._pieces: list[NDArray[np.int16]] = []
        self._words: list[tuple[int, int, float]] = []
        self._callback = _CALLBACK(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, voice: str, speed: int, pitch: int) -> tuple[NDArray[np.float32], list[PlacedWord]]:
        """Samples at `rate`, peak 1, and the words, each of which ends where the next begins."""
        self._pieces, self._words = [], []
        self._library.espeak_SetVoiceByName(voice.encode())
        self._library.espeak_SetParameter(RATE, speed, 0)
        self._library.espeak_SetParameter(PITCH, pitch, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF8, None, None)
        samples = np.concatenate(self._pieces).astype(np.float32)
        return samples / np.abs(samples).max(), self._placed(text)

    def _take(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: Sequence[_Event]) -> int:
        if count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while (event := events[number]).type != LIST_ENDS:
            if event.type == WORD:
                self._words.append((event.position - 1, event.length, event.milliseconds / 1000))
            number += 1
        return 0

    def _placed(self, text: str) -> list[PlacedWord]:
        """A boundary is known where nothing but a space is between two words: a pause is told as part of the second."""
        words = [text[position : position + length] for position, length, _ in self._words]
        known: list[float | None] = [
            start if text[position + length : after].isspace() else None
            for (position, length, _), (after, _, start) in pairwise(self._words)
        ]
        return [PlacedWord(*one) for one in zip(words, [None, *known], [*known, None], strict=True)]


def spoken(prompts: Sequence[Clip], files: int, seed: int, folder: Path) -> list[SpacedClip]:
    """The texts of so many of the prompts, said by espeak-ng."""
    rng, synthesiser = random.Random(f"{seed}-sentences"), Synthesiser()
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _write(clip, rng, synthesiser, folder / f"sentence-{n:03}.flac")
        for n, clip in enumerate(rng.sample(prompts, files))
    ]


def _write(clip: Clip, rng: random.Random, synthesiser: Synthesiser, path: Path) -> SpacedClip:
    samples, words = synthesiser.say(clip.text, rng.choice(VOICES), rng.randint(*SPEEDS), rng.randint(*PITCHES))
    silence = np.zeros(round(SILENCE * synthesiser.rate), np.float32)
    whole = np.concatenate([silence, PEAK * samples, silence])
    whole += NOISE * np.random.default_rng(rng.getrandbits(32)).standard_normal(len(whole)).astype(np.float32)
    write_flac(path, whole, synthesiser.rate)
    return SpacedClip(Clip(path, clip.language, clip.text, len(whole) / synthesiser.rate), tuple(map(_later, words)))


def _later(word: PlacedWord) -> PlacedWord:
    """After the silence before the sentence."""
    start, end = (None if time is None else time + SILENCE for time in (word.start, word.end))
    return PlacedWord(word.text, start, end)
