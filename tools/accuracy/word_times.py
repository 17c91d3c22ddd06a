"""Word times beside the truth, in recordings of which it is known where words begin and end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Self

import numpy as np
from benchmarks.harness.clips import Clip
from benchmarks.harness.table import figure, percent
from benchmarks.harness.words import normalise

from .heard import Heard, TimedWord

NOTABLE = 0.05
"""An error of so many seconds counts as early or late."""
HEADER = (
    *("side", "words read right", "starts", "median ms", "p95 ms", "with sign", "early %", "late %"),
    *("ends", "median ms", "p95 ms", "with sign", "early %", "late %", "outside", "overlapping"),
)
TOLERANCE = 0.0015
"""Times are given in milliseconds: less than one and a half is none."""


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word that is said, and where it begins and ends in seconds; None where that is not known."""

    text: str
    start: float | None
    end: float | None


@dataclass(frozen=True, slots=True)
class SpacedClip:
    """A recording and its words in order."""

    clip: Clip
    words: tuple[PlacedWord, ...]


@dataclass(frozen=True, slots=True)
class Errors:
    """What is heard less what is so, in seconds, a negative figure being too early; None where nothing counts.

    `median` and `p95` are of the size alone; `middle` is the median with its sign, `early` and `late` are the
    shares of those that are too early and too late by more than NOTABLE.
    """

    count: int
    median: float | None = None
    p95: float | None = None
    middle: float | None = None
    early: float | None = None
    late: float | None = None

    @classmethod
    def of(cls, errors: Sequence[float]) -> Self:
        if not errors:
            return cls(0)
        values = np.array(errors)
        median, p95 = np.percentile(np.abs(values), (50, 95))
        shares = (float(np.mean(values < -NOTABLE)), float(np.mean(values > NOTABLE)))
        return cls(len(values), float(median), float(p95), float(np.median(values)), *shares)

    def cells(self) -> list[str]:
        """In milliseconds and percent."""
        times = (figure(None if time is None else 1000 * time, 0) for time in (self.median, self.p95, self.middle))
        return [str(self.count), *times, percent(self.early), percent(self.late)]


@dataclass(frozen=True, slots=True)
class Timing:
    """One side's word times. `read` of the `said` words were read right by this side; `starts` and `ends` are of
    those that all sides read right. `outside` and `overlapping` count words, of all that this side heard, that
    are not within a segment, and that begin before the word before ends, or end before they begin.
    """

    side: str
    said: int
    read: int
    starts: Errors
    ends: Errors
    outside: int
    overlapping: int

    def cells(self) -> list[str]:
        """A row under HEADER."""
        read = f"{self.read} of {self.said}"
        return [self.side, read, *self.starts.cells(), *self.ends.cells(), str(self.outside), str(self.overlapping)]


Pairs = Mapping[int, TimedWord]
"""What was heard of a recording's words, by their place in it."""


def read_right(spaced: SpacedClip, heard: Heard) -> Pairs:
    """The words that were heard as they were said, each by itself and in the order of the recording."""
    language = spaced.clip.language
    said = [normalise(word.text, language) for word in spaced.words]
    found = [normalise(word.text, language) for word in heard.words]
    blocks = SequenceMatcher(a=said, b=found, autojunk=False).get_matching_blocks()
    return {block.a + n: heard.words[block.b + n] for block in blocks for n in range(block.size)}


def timings(clips: Sequence[SpacedClip], sides: Mapping[str, Sequence[Heard]]) -> list[Timing]:
    """A row for each side; `sides` has what each made of the clips, in their order."""
    right = {side: [read_right(*pair) for pair in zip(clips, own, strict=True)] for side, own in sides.items()}
    common = [set.intersection(*map(set, pairs)) for pairs in zip(*right.values(), strict=True)]
    return [_timing(side, clips, own, right[side], common) for side, own in sides.items()]


def _timing(
    side: str, clips: Sequence[SpacedClip], own: Sequence[Heard], right: Sequence[Pairs], common: Sequence[set[int]]
) -> Timing:
    pairs = [
        (spaced.words[n], words[n])
        for spaced, words, kept in zip(clips, right, common, strict=True)
        for n in sorted(kept)
    ]
    return Timing(
        side,
        said=sum(len(spaced.words) for spaced in clips),
        read=sum(map(len, right)),
        starts=Errors.of([heard.start - said.start for said, heard in pairs if said.start is not None]),
        ends=Errors.of([heard.end - said.end for said, heard in pairs if said.end is not None]),
        outside=sum(map(outside, own)),
        overlapping=sum(map(overlapping, own)),
    )


def outside(heard: Heard) -> int:
    """The words that lie in no segment."""
    return sum(
        not any(one.start - TOLERANCE <= word.start and word.end <= one.end + TOLERANCE for one in heard.segments)
        for word in heard.words
    )


def overlapping(heard: Heard) -> int:
    """The words that begin before the one before ends, or end before they begin."""
    backwards = sum(word.end < word.start for word in heard.words)
    return backwards + sum(after.start < before.end - TOLERANCE for before, after in pairwise(heard.words))
