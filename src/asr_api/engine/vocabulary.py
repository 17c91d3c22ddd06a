"""Whisper's tokens: control sequences, text that cannot forge them, and words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import tokenizers

from asr_api.errors import ModelUnavailable
from asr_api.transcription import Task

UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages written without spaces, where every character counts as a word (openai/whisper, tokenizer.py)."""

PROMPT_LIMIT = 223
"""Most prompt tokens that Whisper looks back on: half of its 448 positions, less one (openai/whisper, decoding.py)."""

OPENING = frozenset("“‘¿([{「『《〈")
CLOSING = frozenset("\"'.。,，!！?？:：;；”’)]}、」』》〉…")
"""Marks that belong to the character after them, and before them, where nothing else tells."""


@dataclass(frozen=True, slots=True)
class WordTokens:
    """A word as it is written, with its leading space and its marks, and its tokens.

    `spoken` is the range of tokens that are more than marks: what the word's times are taken from.
    """

    text: str
    tokens: tuple[int, ...]
    spoken: tuple[int, int]

    @classmethod
    def of(cls, text: str, tokens: tuple[int, ...]) -> Self:
        sound = any(letter.isalnum() for letter in text)
        return cls(text, tokens, (0, len(tokens)) if sound else (len(tokens), len(tokens)))

    def __add__(self, other: Self) -> "WordTokens":
        size = len(self.tokens)
        begin, end = self.spoken
        if other.spoken[0] < other.spoken[1]:
            begin, end = (begin if begin < end else size + other.spoken[0]), size + other.spoken[1]
        elif begin == end:
            begin = end = size + len(other.tokens)
        return WordTokens(self.text + other.text, self.tokens + other.tokens, (begin, end))


class Vocabulary:
    """The tokenizer of one model folder. Token ids from `end_of_text` on are control tokens."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.encode_special_tokens = True  # text that looks like a control token is text
        self.end_of_text = self._id("<|endoftext|>")
        self._start = self._id("<|startoftranscript|>")
        self._previous = self._id("<|startofprev|>")
        self._no_timestamps = self._id("<|notimestamps|>")
        self.languages = self._languages()
        self._bytes = {letter: byte for byte, letter in enumerate(byte_alphabet())}

    @property
    def size(self) -> int:
        """Tokens, control tokens among them. CTranslate2 does not check ids against it."""
        return int(self._tokenizer.get_vocab_size())

    def bytes_of(self, token: int) -> bytes:
        """The bytes of a text token, which need not be whole characters."""
        return bytes(self._bytes[letter] for letter in self._tokenizer.id_to_token(token) or "")

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
        ids = self._tokenizer.encode(" " + text.strip(), add_special_tokens=False).ids
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

    def words(self, tokens: Sequence[int], language: str) -> list[WordTokens]:
        """Split text tokens into words: at spaces, or into characters where the language has none."""
        words: list[WordTokens] = []
        for piece in self._characters(tokens):
            if words and _continues(words[-1].text, piece.text, language):
                words[-1] = words[-1] + piece
            else:
                words.append(piece)
        return words

    def _characters(self, tokens: Sequence[int]) -> Iterator[WordTokens]:
        """The shortest runs of tokens that decode to whole characters."""
        run: list[int] = []
        for token in tokens:
            run.append(token)
            text = self.decode(run)
            if "\ufffd" not in text:
                yield WordTokens.of(text, tuple(run))
                run = []
        if run:
            yield WordTokens.of(self.decode(run), tuple(run))


def byte_alphabet() -> list[str]:
    """The character that stands for each byte in the vocabulary: itself where it can be seen, else one from
    U+0100 on (openai/gpt-2, encoder.py).
    """
    seen = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in seen else next(others)) for byte in range(256)]


def _continues(word: str, piece: str, language: str) -> bool:
    """Whether the piece belongs to the word before it."""
    if not word.strip():
        return True
    if language in UNSPACED:
        return piece.strip() in CLOSING or word.strip() in OPENING
    return not piece.startswith(" ")


def load_vocabulary(folder: Path, name: str) -> Vocabulary:
    """The vocabulary of a model. Raises ModelUnavailable where its files are damaged."""
    try:
        return Vocabulary(folder)
    except Exception as error:  # `tokenizers` has no class of its own for what it cannot read
        raise ModelUnavailable(
            f"the model {name} cannot be loaded, for {folder}/tokenizer.json or its vocabulary is damaged: {error}"
        ) from error
