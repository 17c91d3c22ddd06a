"""Recordings as long as those that people send."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from .clips import Clip, draw
from .composed import LANGUAGE, compose, sounds_of
from .recordings import Recording

VARIETY, VARIETY_OF_LONG, LONG = 6, 1, 60.0
"""Recordings of one length, and of one from so many seconds on."""

Shares = Mapping[float, float]
"""Of the requests, by the seconds of their recording at most."""

MIXES: Final[Mapping[str, Shares]] = MappingProxyType(
    {
        "5": {5: 1},
        "10": {10: 1},
        "30": {30: 1},
        "600": {600: 1},
        "realistic": {5: 0.5, 10: 0.3, 30: 0.15, 120: 0.04, 600: 0.01},
    }
)
"""`realistic` is an assumption: commands and messages, some dictation, a few meetings, which have half of the audio."""


class Deck(Protocol):
    """Recordings from which a run draws; `all` has each of them once."""

    @property
    def all(self) -> Sequence[Clip]: ...

    def draw(self, count: int, seed: int) -> list[Clip]: ...


@dataclass(frozen=True, slots=True)
class Clips:
    """Clips as they are, each as often as any other."""

    all: Sequence[Clip]

    def draw(self, count: int, seed: int) -> list[Clip]:
        return draw(self.all, count, seed)


@dataclass(frozen=True, slots=True)
class Mixed:
    """Recordings that wait in files, by their length at most, and the shares of the lengths."""

    shares: Shares
    recordings: Mapping[float, Sequence[Clip]]

    @property
    def all(self) -> list[Clip]:
        return [recording for kind in self.recordings.values() for recording in kind]

    def draw(self, count: int, seed: int) -> list[Clip]:
        """`count` recordings, or a few more, in an order that only the seed decides: of each length its share,
        one at least, and those of one length in turn.
        """
        drawn = [
            kind[number % len(kind)]
            for seconds, kind in self.recordings.items()
            for number in range(max(1, round(count * self.shares[seconds])))
        ]
        random.Random(seed).shuffle(drawn)
        return drawn


def write_mix(shares: Shares, clips: Sequence[Clip], folder: Path, seed: int) -> Mixed:
    """Compose the recordings of each length, as WAV files. Raises ValueError where a length has no room for a clip."""
    sounds = sounds_of(clips)

    def write(seconds: float, number: int) -> Clip:
        composed = compose(clips, sounds, seconds, seed + number)
        path = folder / f"{seconds:g}-{number}.wav"
        path.write_bytes(Recording.of(composed.samples).content)
        return Clip(path, LANGUAGE, composed.text, composed.seconds)

    return Mixed(shares, {seconds: [write(seconds, n) for n in range(_variety(seconds))] for seconds in shares})


def _variety(seconds: float) -> int:
    return VARIETY_OF_LONG if seconds >= LONG else VARIETY
