"""Whole against short contexts: the differences, and what follows from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from asr_api.calibration.bootstrap import Interval, difference, error_rate
from asr_api.calibration.hearing import Hearing

TOLERANCE = 0.01
"""How much higher the error rate on short contexts may be at most, with 95 % confidence, to count as the same."""

ENOUGH_WORDS = 300
"""Fewer can show nothing: where none of n words differs, up to 3 / n of all may (Hanley and Lippman-Hand 1983)."""

Verdict = Literal["short", "whole", "undecided"]

CountErrors = Callable[[str, str, str], tuple[int, int]]
"""Words said, and errors, by what was said, what was heard, and the language."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A recording on both contexts: `words` were said, by its own text or, where it is not `known`, by what the whole
    context hears.
    """

    path: Path
    known: bool
    said: str
    whole: str
    short: str
    words: int
    whole_errors: int
    short_errors: int


@dataclass(frozen=True)
class Comparison:
    """All recordings on both contexts. Raises ValueError where nobody says a word in them."""

    whole: Hearing
    short: Hearing
    pairs: Sequence[Pair]

    @property
    def words(self) -> int:
        return sum(pair.words for pair in self.pairs)

    @property
    def known(self) -> int:
        """Recordings whose text is known."""
        return sum(pair.known for pair in self.pairs)

    @property
    def differing(self) -> Sequence[Pair]:
        """Where the two texts are not the same to the letter, those first that lose most on the short one."""
        return sorted(
            (pair for pair in self.pairs if pair.whole != pair.short),
            key=lambda pair: pair.whole_errors - pair.short_errors,
        )

    @cached_property
    def whole_rate(self) -> Interval:
        return error_rate([pair.whole_errors for pair in self.pairs], self._words)

    @cached_property
    def short_rate(self) -> Interval:
        return error_rate([pair.short_errors for pair in self.pairs], self._words)

    @cached_property
    def less(self) -> Interval:
        """The error rate on short contexts less that on whole ones."""
        whole, short = [pair.whole_errors for pair in self.pairs], [pair.short_errors for pair in self.pairs]
        return difference(short, whole, self._words)

    @property
    def verdict(self) -> Verdict:
        """`short` where the same words are heard within TOLERANCE, `whole` where fewer are beyond chance."""
        if self.less.low > 0:
            return "whole"
        return "short" if self.words >= ENOUGH_WORDS and self.less.high <= TOLERANCE else "undecided"

    @property
    def _words(self) -> list[int]:
        return [pair.words for pair in self.pairs]


def compared(
    recordings: Sequence[tuple[Path, str]], whole: Hearing, short: Hearing, count_errors: CountErrors
) -> Comparison:
    """Both hearings of the recordings, each of which has its text, or "" where that is not known."""
    pairs = []
    for (path, text), one, other in zip(recordings, whole.heard, short.heard, strict=True):
        if one is None or other is None:
            continue
        said, language = text or one.text, one.language or "en"
        words, whole_errors = count_errors(said, one.text, language)
        _, short_errors = count_errors(said, other.text, language)
        pairs.append(Pair(path, bool(text), said, one.text, other.text, words, whole_errors, short_errors))
    return Comparison(whole, short, pairs)
