"""How far a transcript is from the words that were said."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

UNSPACED = frozenset({"zh", "ja", "yue", "th", "lo", "my"})
"""Languages written without spaces: their characters count as words, as is the custom."""


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
    """Words in lower case with single spaces: no punctuation, and Russian yo is written ye."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")
    kept = "".join(letter if _belongs_to_word(letter) else " " for letter in folded.translate({39: None, 0x2019: None}))
    return " ".join("".join(kept.split()) if language in UNSPACED else kept.split())


def _belongs_to_word(letter: str) -> bool:
    """Letters, numbers and the marks on letters, without which Hindi falls to pieces."""
    return unicodedata.category(letter)[0] in "LNM"
