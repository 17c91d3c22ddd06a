"""How far a transcript is from the words that were said."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

UNSPACED = frozenset({"zh", "ja", "yue", "th", "lo", "my"})
"""Languages written without spaces: their characters count as words, as is the custom."""

YO = str.maketrans("ёЁ", "еЕ")
"""Russian yo is written ye as often as not."""


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


def normalise(text: str, language: str) -> str:
    """The words with single spaces, as OpenAI normalises texts before it compares them (Radford et al. 2022, app. C).

    Case, punctuation and, in English, spelling do not count, nor whether numbers are digits or words.
    Characters of languages without spaces stand alone.
    """
    return str(_normaliser(language)(text.translate(YO))).strip()


@cache
def _normaliser(language: str) -> BasicTextNormalizer | EnglishTextNormalizer:
    return EnglishTextNormalizer() if language == "en" else BasicTextNormalizer(split_letters=language in UNSPACED)
