"""Word boundaries moved to where the audio falls silent and begins to sound again.

The alignment path knows which word comes where, but not when it begins and ends: the decoder turns to the
next word, or to the mark before it, as soon as it knows this one. On real recordings words before a pause
ended 0.1 to 0.4 s too early by it, those before another word 0.06 s, and a word after a pause began with the
pause (docs/accuracy.md). The spectrogram knows when, but not which. Here both are brought together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from asr_api.engine.voicing import FRAME_SECONDS, Floats, Voicing

SHORT, LONG = 0.03, 0.15
"""Pauses of so many seconds: the stop of a consonant, and one that a speaker makes."""

CLOSURE = 0.07
"""A shorter pause is the closed mouth before a stop, with which the second word begins: on sentences by espeak-ng,
which knows, starts were off by 17 ms in the median with this and by 46 ms without."""

LATEST_SHORT, LATEST_LONG = 0.13, 0.45
"""How much later than by the alignment a word may end, where a short pause follows it and where a long one does."""

LATEST_START = 0.1
"""How much later than it ends by the alignment a word may begin."""

HEARD = 0.05
"""Where a word begins so long after the one before has ended by the alignment, it has heard a pause itself."""

SLACK = 0.1
"""How far a start that the alignment has heard may be off."""

AWAY = 2.0
TOGETHER = 0.1
THROUGH = 5.0
INSIDE = 0.08
START_AWAY = 0.5
"""Costs, in seconds of sound that is in no word: of a second beyond what an end may be off; of two words without a
pause between them; of a second of pause within a word, from INSIDE seconds on; of a second that a start is off.
On clean words and phrases nothing depends on them (1 to 4, 0.05 to 0.2, 1 to 5, 0.08 to 0.13, 0 to 0.5): they are
for noise, and for words without a gap."""

EARLY = 0.06
"""How much too early the alignment has the boundary of two words without a pause."""

PAUSE_EARLY, LATE = 0.2, 0.03
"""How much too early it has the end of a word before a pause, and too late the start of one after it."""

REACH = 0.06
"""How far from there the quietest place is looked for. Nearer and farther were worse."""

SHORTEST = 0.04
"""Seconds that a word lasts at least, where all of its run have so much."""


def refined(starts: Floats, ends: Floats, voicing: Voicing, duration: float) -> tuple[Floats, Floats]:
    """Better starts and ends for the words of a chunk of `duration` seconds, both shape (words,).

    Given times never run backwards nor past `duration`, and so do those returned. Where nothing stands out
    of the noise, they are the given ones.
    """
    if not len(starts) or not len(voicing.starts):
        return starts, ends
    pauses = _Pauses.of(voicing, duration)
    between = _Search(starts, ends, pauses).cheapest()
    new_starts, new_ends = starts.copy(), ends.copy()
    for word, gap in enumerate(between):
        if gap is not None:  # no word ends at the first boundary, and none begins at the last: empty slices
            new_ends[word - 1 : word], new_starts[word : word + 1] = pauses.starts[gap.first], pauses.ends[gap.last]
    closed = new_starts[1:] - new_ends[:-1] < CLOSURE
    new_starts[1:][closed] = new_ends[:-1][closed]
    for first, last in _together(between):
        edges = new_starts[first], new_ends[last]
        between_words = _shared(ends[first:last], starts[first + 1 : last + 1], voicing, *edges)
        new_ends[first:last], new_starts[first + 1 : last + 1] = between_words
    return new_starts, new_ends


class _Gap(NamedTuple):
    """The pauses, by number, in which a word ends and out of which the next begins: one, or what is between is
    sound of neither.
    """

    first: int
    last: int


@dataclass(frozen=True, slots=True, eq=False)
class _Pauses:
    """The pauses before, between and after the runs of a chunk, with the seconds of sound before each (`voiced`),
    and what it costs a word to go through it and all before (`through`).
    """

    starts: Floats
    ends: Floats
    voiced: Floats
    through: Floats

    @classmethod
    def of(cls, voicing: Voicing, duration: float) -> _Pauses:
        run_starts, run_ends = np.minimum(voicing.starts, duration), np.minimum(voicing.ends, duration)
        starts, ends = np.append(0.0, run_ends), np.append(run_starts, duration)
        through = THROUGH * np.maximum(0, ends - starts - INSIDE)
        through[[0, -1]] = 0
        return cls(starts, ends, np.append(0, np.cumsum(run_ends - run_starts)), np.cumsum(through))

    def begun(self, start: float) -> Floats:
        """What it costs to begin with the run after each pause, by the start that the alignment has: the sound after
        it that is left out, and half of the sound long before it that is not.
        """
        run_starts, run_ends = self.ends[:-1], self.starts[1:]
        left_out = np.cumsum(np.maximum(0, run_ends - np.maximum(run_starts, start)))
        taken_in = np.maximum(0, np.minimum(run_ends, start - SLACK) - run_starts)[::-1].cumsum()[::-1]
        return np.append(0, left_out) + START_AWAY * np.append(taken_in, 0)


class _Search:
    """Ends each word in a pause and begins the next out of the same or a later one, or lets them run together, in
    the cheapest way of all: dynamic programming over words, with all pauses at a time.
    """

    def __init__(self, starts: Floats, ends: Floats, pauses: _Pauses) -> None:
        self._pauses = pauses
        self._opening = pauses.begun(starts[0])
        self._end_away = _end_away(ends[:, np.newaxis], pauses)
        self._start_away = _start_away(starts[:, np.newaxis], ends[:, np.newaxis], pauses)

    def cheapest(self) -> list[_Gap | None]:
        """One for each boundary: before the first word, between any two (None where they run together), and after
        the last.
        """
        costs = [self._opening + self._start_away[0]]
        costs[0][-1] = np.inf
        ways = []
        for word in range(len(self._end_away) - 1):
            ended = self._ended(costs[-1], word)
            apart = self._apart(ended, word + 1)
            ways.append((ended, apart))
            costs.append(np.minimum(apart, costs[-1] + TOGETHER))
        voiced = self._pauses.voiced
        close = int(np.argmin(self._ended(costs[-1], -1) + voiced[-1] - voiced))
        return self._back(costs, ways, close)

    def _back(self, costs: Sequence[Floats], ways: Sequence[tuple[Floats, Floats]], close: int) -> list[_Gap | None]:
        """The way that led to the last word's end in the pause `close`, from there to the first word's start."""
        found: list[_Gap | None] = [_Gap(close, close)]
        begun = self._out_of(costs[-1], close)
        for before, (ended, apart) in zip(costs[-2::-1], ways[::-1], strict=True):
            if before[begun] + TOGETHER <= apart[begun]:
                found.append(None)
                continue
            first = int(np.argmin((ended - self._pauses.voiced)[: begun + 1]))
            found.append(_Gap(first, begun))
            begun = self._out_of(before, first)
        return [_Gap(begun, begun), *found[::-1]]

    def _out_of(self, costs: Floats, pause: int) -> int:
        """Out of which pause a word began that ends in `pause`."""
        return int(np.argmin((costs - self._pauses.through)[:pause]))

    def _ended(self, costs: Floats, word: int) -> Floats:
        """What it costs that a word has ended in each pause, given those of its having begun out of each."""
        through = self._pauses.through
        ended: Floats = self._end_away[word].copy()
        ended[0] = np.inf
        ended[1:] += (np.minimum.accumulate(costs - through) + through)[:-1]
        return ended

    def _apart(self, ended: Floats, word: int) -> Floats:
        """What it costs that a word begins out of each pause, given those of the one before having ended in each."""
        voiced = self._pauses.voiced
        costs: Floats = np.minimum.accumulate(ended - voiced) + voiced + self._start_away[word]
        costs[[0, -1]] = np.inf
        return costs


def _end_away(ends: Floats, pauses: _Pauses) -> Floats:
    """What it costs to end each word in each pause, shape (words, pauses), by the alignment's own ends."""
    share = np.clip((pauses.ends - pauses.starts - SHORT) / (LONG - SHORT), 0, 1)
    latest = LATEST_SHORT + share * (LATEST_LONG - LATEST_SHORT)
    late = pauses.starts - ends
    away: Floats = AWAY * np.maximum(0, np.maximum(-late, late - latest))
    return away


def _start_away(starts: Floats, ends: Floats, pauses: _Pauses) -> Floats:
    """What it costs to begin each word out of each pause, shape (words, pauses), by the alignment's own times."""
    heard = np.append(False, starts[1:, 0] > ends[:-1, 0] + HEARD)[:, np.newaxis]
    off = np.maximum(0, np.abs(pauses.ends - starts + HEARD) - SLACK)
    away: Floats = np.maximum(0, pauses.ends - ends - LATEST_START) + START_AWAY * heard * off
    return away


def _together(between: Sequence[_Gap | None]) -> Iterator[tuple[int, int]]:
    """The first and last word of each run that several words share."""
    apart = [boundary for boundary, gap in enumerate(between) if gap is not None]
    return ((first, end - 1) for first, end in pairwise(apart) if end - first > 1)


def _shared(ends: Floats, starts: Floats, voicing: Voicing, first: float, last: float) -> tuple[Floats, Floats]:
    """Ends and next starts of words that share the run from `first` to `last`: the quietest places near those given,
    and where the alignment has heard a pause, one there.
    """
    heard = starts > ends + HEARD
    places = np.where(heard, starts - LATE, [_quietest(voicing, end + EARLY) for end in ends])
    least = min(SHORTEST, (last - first) / (len(ends) + 1)) * np.arange(1, len(ends) + 1)
    spread = np.maximum.accumulate(np.maximum(places - least, first)) + least
    new_starts: Floats = np.minimum(spread, last - least[::-1])
    earliest = np.append(first, new_starts[:-1]) + least[0]
    new_ends: Floats = np.where(heard, np.clip(ends + PAUSE_EARLY, earliest, new_starts), new_starts)
    return new_ends, new_starts


def _quietest(voicing: Voicing, place: float) -> float:
    """The middle of the quietest frame within REACH of a place; the place itself where there is none."""
    first = max(0, round((place - REACH) / FRAME_SECONDS))
    levels = voicing.levels[first : round((place + REACH) / FRAME_SECONDS)]
    return (first + int(levels.argmin()) + 0.5) * FRAME_SECONDS if len(levels) else place
