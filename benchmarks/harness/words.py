"""How far a transcript is from the words that were said."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

from asr_api.calibration.words import normalise

__all__ = ["Spoken", "normalise", "word_errors"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was said, in which language, and what was heard."""

    said: str
    language: str
    heard: str


def word_errors(pairs: Sequence[Spoken]) -> float | None:
    """Wrong, missing and added words as a share of the words said; None where nothing was."""
    said = [normalise(pair.said, pair.language) for pair in pairs]
    heard = [normalise(pair.heard, pair.language) for pair in pairs]
    return float(jiwer.wer(said, heard)) if any(said) else None
