"""Word errors as the field counts them. Needs the extra `asr-api[calibrate]`."""

from functools import cache

import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

UNSPACED = frozenset({"zh", "ja", "yue", "th", "lo", "my"})
"""Languages written without spaces: their characters count as words, as is the custom."""

YO = str.maketrans("ёЁ", "еЕ")
"""Russian yo is written ye as often as not."""


def count_errors(said: str, heard: str, language: str) -> tuple[int, int]:
    """How many words were said, and how many are wrong, missing or added in what was heard."""
    words = normalise(said, language)
    found = jiwer.process_words(words, normalise(heard, language))
    return len(words.split()), found.substitutions + found.deletions + found.insertions


def normalise(text: str, language: str) -> str:
    """The words with single spaces, as OpenAI normalises texts before it compares them (Radford et al. 2022, app. C).

    Case, punctuation and, in English, spelling do not count, nor whether numbers are digits or words.
    Characters of languages without spaces stand alone.
    """
    return str(_normaliser(language)(text.translate(YO))).strip()


@cache
def _normaliser(language: str) -> BasicTextNormalizer | EnglishTextNormalizer:
    return EnglishTextNormalizer() if language == "en" else BasicTextNormalizer(split_letters=language in UNSPACED)
