"""Word errors and languages, a recording and all together, and both sides beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import jiwer
from benchmarks.harness.clips import Clip
from benchmarks.harness.words import normalise

from asr_api.calibration.bootstrap import Interval, difference, error_rate

from .heard import Heard

OURS = "asr-api"
DEFAULTS = "faster-whisper"
WITH_VAD = "faster-whisper, vad_filter"
BATCHED = "BatchedInferencePipeline"
COMPARATORS = (DEFAULTS, WITH_VAD, BATCHED)
"""Everyone's ways of asking faster-whisper."""
ALL = "all"
FEWEST = 10
"""Recordings of which a language must have so many for its difference to count: three say nothing of chance."""


@dataclass(frozen=True, slots=True)
class Score:
    """One side's transcript of one recording: `words` were said, `errors` of them or beside them are wrong."""

    clip: Clip
    heard: Heard
    words: int
    errors: int

    @classmethod
    def of(cls, clip: Clip, heard: Heard) -> Self:
        """Wrong, missing and added words count one each, whatever the case and the punctuation."""
        said = normalise(clip.text, clip.language)
        found = jiwer.process_words(said, normalise(heard.text, clip.language))
        return cls(clip, heard, len(said.split()), found.substitutions + found.deletions + found.insertions)

    @property
    def language_right(self) -> bool:
        return self.heard.language == self.clip.language


@dataclass(frozen=True, slots=True)
class Column:
    """One side in one row: word errors and languages as shares; `less` is our rate less this side's."""

    errors: Interval
    languages_right: float
    less: Interval | None

    @property
    def worse(self) -> bool:
        """Whether ours is worse than this side by more than chance explains."""
        return self.less is not None and self.less.low > 0


@dataclass(frozen=True, slots=True)
class Row:
    """One language, or all of them."""

    language: str
    utterances: int
    words: int
    columns: Mapping[str, Column]

    @property
    def others(self) -> list[str]:
        return [side for side in self.columns if side != OURS]

    @property
    def best(self) -> str:
        """The side other than ours with the fewest errors."""
        return min(self.others, key=lambda side: self.columns[side].errors.value)

    @property
    def worse_than(self) -> list[str]:
        """The sides that ours is worse than by more than chance explains; none where there are too few recordings."""
        return [side for side in self.others if self.columns[side].worse] if self.utterances >= FEWEST else []


def compare(scores: Mapping[str, Sequence[Score]]) -> list[Row]:
    """A row for each language in alphabetical order, and one for all; `scores` has OURS and the others by name.

    Every side has scored the same recordings in the same order.
    """
    languages = sorted({score.clip.language for score in scores[OURS]})
    by_language = [_row(language, _of_language(scores, language)) for language in languages]
    return [*by_language, _row(ALL, scores)]


def behind(scores: Mapping[str, Sequence[Score]], by: int) -> list[dict[str, Score]]:
    """Recordings on which ours makes `by` errors or more beyond the best other side's, the largest difference first."""
    recordings = [dict(zip(scores, row, strict=True)) for row in zip(*scores.values(), strict=True)]
    return sorted((one for one in recordings if lag(one) >= by), key=lag, reverse=True)


def ahead(scores: Mapping[str, Sequence[Score]], by: int) -> int:
    """Recordings on which each other side makes `by` errors or more beyond ours."""
    return sum(lag(dict(zip(scores, row, strict=True))) <= -by for row in zip(*scores.values(), strict=True))


def lag(recording: Mapping[str, Score]) -> int:
    """Our errors on a recording, less those of the side that made the fewest."""
    return recording[OURS].errors - min(score.errors for side, score in recording.items() if side != OURS)


def _of_language(scores: Mapping[str, Sequence[Score]], language: str) -> dict[str, list[Score]]:
    return {side: [one for one in own if one.clip.language == language] for side, own in scores.items()}


def _row(language: str, scores: Mapping[str, Sequence[Score]]) -> Row:
    ours = scores[OURS]
    columns = {side: _column(own, None if side == OURS else ours) for side, own in scores.items()}
    return Row(language, len(ours), sum(score.words for score in ours), columns)


def _column(own: Sequence[Score], ours: Sequence[Score] | None) -> Column:
    words, errors = [score.words for score in own], [score.errors for score in own]
    less = None if ours is None else difference([score.errors for score in ours], errors, words)
    return Column(error_rate(errors, words), sum(score.language_right for score in own) / len(own), less)
