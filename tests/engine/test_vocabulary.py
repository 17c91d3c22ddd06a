"""Tokens: text that cannot forge control tokens, and words that add up to the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.engine.vocabulary import PROMPT_LIMIT, Vocabulary
from tests.engine.conftest import CALLSIGN

VOCABULARY = Vocabulary(CALLSIGN)
CONTROL = st.sampled_from(
    [
        "<|startoftranscript|>",
        "<|translate|>",
        "<|0.00|>",
        "<|endoftext|>",
        "<|en|>",
        "<|notimestamps|>",
        "<|nospeech|>",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(CONTROL, st.text(max_size=20)), max_size=12).map("".join))
def test_a_prompt_never_holds_a_control_token(text: str) -> None:
    """Whatever a user writes is plain text to the decoder, and at most 223 tokens of it."""
    ids = VOCABULARY.encode(text)
    assert all(token < VOCABULARY.end_of_text for token in ids)
    assert len(ids) <= PROMPT_LIMIT


def test_the_end_of_a_long_prompt_counts() -> None:
    """As in Whisper, the last tokens are those that the audio follows."""
    assert VOCABULARY.decode(VOCABULARY.encode("zulu " * 400 + "alpha")).endswith("alpha")
    assert len(VOCABULARY.encode("zulu " * 400)) == PROMPT_LIMIT


def test_the_prompt_stands_before_the_start() -> None:
    """Previous text, start, language, task, no timestamps; an English-only model has neither language nor task."""
    bare = VOCABULARY.prompt("de", "translate", ())
    assert VOCABULARY.prompt("de", "translate", (5, 6))[1:] == [5, 6, *bare]
    assert len(bare) == 4
    assert len(VOCABULARY.prompt(None, "transcribe", ())) == 2


@settings(max_examples=200, deadline=None)
@given(st.text("abc é漢字.,!?\"'(-) ", max_size=40), st.sampled_from(["en", "zh"]))
def test_words_add_up_to_the_text(text: str, language: str) -> None:
    """Splitting loses no token and no letter, and what is spoken lies within each word."""
    tokens = VOCABULARY.encode(text)
    words = VOCABULARY.words(tokens, language)
    assert tuple(token for word in words for token in word.tokens) == tokens
    assert "".join(word.text for word in words) == VOCABULARY.decode(tokens)
    assert all(0 <= word.spoken[0] <= word.spoken[1] <= len(word.tokens) for word in words)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("alpha, bravo.", "en", [" alpha,", " bravo."]),
        ('he said "yes".', "en", [" he", " said", ' "yes".']),
        ("well-known don't", "en", [" well-known", " don't"]),
        ("零一。", "zh", [" 零", "一。"]),
        ("Grüß Gott — ja", "de", [" Grüß", " Gott", " —", " ja"]),
    ],
)
def test_punctuation_belongs_to_its_word(text: str, language: str, expected: list[str]) -> None:
    """A comma goes with the word before it, an opening quote with the one after; each Chinese character is a word."""
    assert [word.text for word in VOCABULARY.words(VOCABULARY.encode(text), language)] == expected


def test_marks_are_not_spoken() -> None:
    """Times are those of the letters: neither the quote before nor the full stop after counts."""
    (word,) = VOCABULARY.words(VOCABULARY.encode('"alpha".'), "en")
    begin, end = word.spoken
    assert VOCABULARY.decode(word.tokens[begin:end]).strip() == "alpha"
