"""Whisper's tokens: control sequences, text that cannot forge them, and words."""

import string
from collections.abc import Sequence
from pathlib import Path

import tokenizers

from asr_api.transcription import Task

UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages written without spaces, where every character counts as a word (openai/whisper, tokenizer.py)."""

PROMPT_LIMIT = 223
"""Most prompt tokens that Whisper looks back on: half of its 448 positions, less one (openai/whisper, decoding.py)."""

PREPENDED = frozenset("\"'“¿([{-")
APPENDED = frozenset("\"'.。,，!！?？:：”)]}、")
"""Punctuation that belongs to the word after it, and before it (openai/whisper, timing.py)."""


class Vocabulary:
    """The tokenizer of one model folder. Token ids from `end_of_text` on are control tokens."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._plain = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._plain.encode_special_tokens = True
        self.end_of_text = self._id("<|endoftext|>")
        self._start = self._id("<|startoftranscript|>")
        self._previous = self._id("<|startofprev|>")
        self._no_timestamps = self._id("<|notimestamps|>")
        self.languages = self._languages()

    def _id(self, token: str) -> int:
        """Raises ValueError where the vocabulary is not Whisper's."""
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"tokenizer.json has no token {token}: it is not a Whisper tokenizer")
        return int(found)

    def _languages(self) -> tuple[str, ...]:
        """The language codes, which stand between the start token and `<|translate|>`."""
        codes = (self._tokenizer.id_to_token(n) for n in range(self._start + 1, self._id("<|translate|>")))
        return tuple(str(code)[2:-2] for code in codes)

    def encode(self, text: str) -> tuple[int, ...]:
        """The last `PROMPT_LIMIT` text tokens of `text`; what looks like a control token is plain text."""
        ids = self._plain.encode(" " + text.strip(), add_special_tokens=False).ids
        return tuple(token for token in ids if token < self.end_of_text)[-PROMPT_LIMIT:]

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode([token for token in tokens if token < self.end_of_text]))

    def start_sequence(self, language: str | None, task: Task) -> list[int]:
        """`<|startoftranscript|>` with language and task; alone where the model is English-only (None)."""
        if language is None:
            return [self._start]
        return [self._start, self._id(f"<|{language}|>"), self._id(f"<|{task}|>")]

    def prompt(self, language: str | None, task: Task, previous: Sequence[int]) -> list[int]:
        """What the decoder is given before the text it writes, which has no timestamps."""
        context = [self._previous, *previous] if previous else []
        return [*context, *self.start_sequence(language, task), self._no_timestamps]

    def words(self, tokens: Sequence[int], language: str) -> list[tuple[str, tuple[int, ...]]]:
        """Split text tokens into words, each with its leading space, its punctuation and its tokens."""
        pieces = self._characters(tokens)
        if language not in UNSPACED:
            pieces = _join_at_spaces(pieces)
        return _attach_punctuation(pieces)

    def _characters(self, tokens: Sequence[int]) -> list[tuple[str, tuple[int, ...]]]:
        """The shortest runs of tokens that decode to whole characters."""
        pieces, run = [], []
        for token in tokens:
            run.append(token)
            text = self.decode(run)
            if "\ufffd" not in text:
                pieces.append((text, tuple(run)))
                run = []
        return [*pieces, (self.decode(run), tuple(run))] if run else pieces


def _join_at_spaces(pieces: list[tuple[str, tuple[int, ...]]]) -> list[tuple[str, tuple[int, ...]]]:
    words: list[tuple[str, tuple[int, ...]]] = []
    for text, tokens in pieces:
        if not words or text.startswith(" ") or text.strip() in string.punctuation:
            words.append((text, tokens))
        else:
            words[-1] = (words[-1][0] + text, words[-1][1] + tokens)
    return words


def _attach_punctuation(pieces: list[tuple[str, tuple[int, ...]]]) -> list[tuple[str, tuple[int, ...]]]:
    words: list[tuple[str, tuple[int, ...]]] = []
    opening: tuple[str, tuple[int, ...]] = ("", ())
    for text, tokens in pieces:
        mark = text.strip()
        if mark in PREPENDED and text.startswith(" "):
            opening = (opening[0] + text, opening[1] + tokens)
        elif words and not opening[0] and mark in APPENDED:
            words[-1] = (words[-1][0] + text, words[-1][1] + tokens)
        else:
            words.append((opening[0] + text.lstrip() if opening[0] else text, opening[1] + tokens))
            opening = ("", ())
    return [*words, opening] if opening[0] else words
