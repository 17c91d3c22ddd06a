"""Percentile bootstrap over recordings (Efron and Tibshirani 1993, ch. 13; for word errors Bisani and Ney 2004)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 5_000
SEED = 0
LEVEL = 95


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the bounds between which it lies with 95 % confidence; all are shares."""

    value: float
    low: float
    high: float


def error_rate(errors: Sequence[int], words: Sequence[int]) -> Interval:
    """Errors as a share of words, both counted a recording; recordings are what is drawn anew.

    Raises ValueError where there are no words.
    """
    if not sum(words):
        raise ValueError("there is no error rate of no words")
    drawn = _draws(len(words))
    # A draw of a few recordings may miss all that have words.
    rates = drawn @ np.asarray(errors) / np.maximum(1, drawn @ np.asarray(words))
    low, high = np.percentile(rates, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return Interval(sum(errors) / sum(words), float(low), float(high))


def difference(ours: Sequence[int], theirs: Sequence[int], words: Sequence[int]) -> Interval:
    """Our error rate less theirs on the same recordings: each draw takes both sides of a recording."""
    return error_rate([own - other for own, other in zip(ours, theirs, strict=True)], words)


def _draws(count: int) -> NDArray[np.int64]:
    """How often each recording is in each draw, shape (DRAWS, count)."""
    return np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=DRAWS)
