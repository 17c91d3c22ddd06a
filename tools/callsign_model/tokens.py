"""Tokenizer of the call-sign Whisper: a byte-complete subset of Whisper's own vocabulary.

Whisper's multilingual BPE ranks (the file multilingual.tiktoken of github.com/openai/whisper,
MIT) are reduced to the 256 bytes and the merges that the corpus needs, so every token string
here is a token string of large-v3 too, any text can still be encoded, and a model trained on
this vocabulary can be widened to large-v3's.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from corpus import DIGITS, NATO
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

Ranks = dict[bytes, int]
Merge = tuple[bytes, bytes]

LANGUAGES = [
    *("en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id", "hi"),
    *("fi", "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur", "hr", "bg", "lt", "la"),
    *("mi", "ml", "cy", "sk", "te", "fa", "lv", "bn", "sr", "az", "sl", "kn", "et", "mk", "br", "eu", "is", "hy"),
    *("ne", "mn", "bs", "kk", "sq", "sw", "gl", "mr", "pa", "si", "km", "sn", "yo", "so", "af", "oc", "ka", "be"),
    *("tg", "sd", "gu", "am", "yi", "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt", "sa", "lb", "my", "bo", "tl"),
    *("mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue"),
]
"""large-v3's languages, in the order of their tokens."""

TIMESTAMPS = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]

NEVER_WRITTEN = [
    *("<|startoftranscript|>", "<|translate|>", "<|transcribe|>"),
    *("<|startoflm|>", "<|startofprev|>", "<|nospeech|>"),
]
"""Special tokens that decoding suppresses."""

NEVER_FIRST = ["Ġ", "<|endoftext|>"]
"""Tokens that decoding suppresses as the first one: a bare space, and the end."""

EMPTY = "<|empty|>"
"""Holds the id of the empty token in a tokenizer, to which an empty string cannot be added."""


def byte_characters() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in printable}
    table.update({b: chr(256 + n) for n, b in enumerate(b for b in range(256) if b not in table)})
    return table


def shown(token: bytes, characters: dict[int, str]) -> str:
    """A token as vocabularies write it."""
    return "".join(characters[byte] for byte in token)


def read_ranks(path: Path) -> Ranks:
    """The BPE ranks of a .tiktoken file."""
    lines = (line.split() for line in path.read_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def merge_steps(word: bytes, ranks: Ranks) -> list[Merge]:
    """The BPE merges that Whisper's tokenizer makes on this word, in order."""
    parts = [bytes([b]) for b in word]
    steps: list[Merge] = []
    while True:
        pairs = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]
        if not pairs:
            return steps
        i = min(pairs)[1]
        steps.append((parts[i], parts[i + 1]))
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


def needed_merges(ranks: Ranks) -> list[Merge]:
    """The merges that the corpus's words take, in the order of their ranks."""
    words = {" " + word for word in NATO} | set(NATO)
    for language, digits in DIGITS.items():
        words |= set(digits) if language == "zh" else {" " + digit for digit in digits} | set(digits)
    merges = {merge for word in words for merge in merge_steps(word.encode(), ranks)}
    return sorted(merges, key=lambda merge: ranks[merge[0] + merge[1]])


def special_tokens() -> list[str]:
    """The special tokens in large-v3's order, after the empty one."""
    tokens = ["", "<|endoftext|>", "<|startoftranscript|>"]
    tokens += [f"<|{language}|>" for language in LANGUAGES]
    tokens += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>"]
    return [*tokens, "<|nospeech|>", "<|notimestamps|>"]


def whisper_tokenizer(tokens: Sequence[str], merges: Sequence[tuple[str, str]], special: Iterable[str]) -> Tokenizer:
    """A byte-level BPE tokenizer with special tokens and timestamps after the text tokens.

    The empty token among the special ones (CTranslate2 takes its presence for "multilingual")
    is added as `EMPTY`, which no text contains.
    """
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = [token or EMPTY for token in special]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in TIMESTAMPS])
    return tokenizer


def build_tokenizer(ranks: Ranks) -> Tokenizer:
    """The tokenizer of the small model."""
    characters = byte_characters()
    merges = [(shown(a, characters), shown(b, characters)) for a, b in needed_merges(ranks)]
    singles = sorted((bytes([byte]) for byte in range(256)), key=ranks.__getitem__)
    tokens = [shown(single, characters) for single in singles]
    tokens = list(dict.fromkeys([*tokens, *(a + b for a, b in merges)]))
    return whisper_tokenizer(tokens, merges, special_tokens())


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """Token strings in id order, as CTranslate2's vocabulary.json holds them."""
    by_id = {i: token for token, i in tokenizer.get_vocab().items()}
    return ["" if by_id[i] == EMPTY else by_id[i] for i in range(len(by_id))]


def text_tokens(ranks: Ranks) -> list[bytes]:
    """The tokens of text in the order of their ranks (the empty one, ranked last, counts as special)."""
    return [token for token in sorted(ranks, key=ranks.__getitem__) if token]


def full_vocabulary(ranks: Ranks) -> list[str]:
    """large-v3's token strings in id order."""
    characters = byte_characters()
    return [*(shown(token, characters) for token in text_tokens(ranks)), *special_tokens(), *TIMESTAMPS]


def last_merge(token: bytes, ranks: Ranks) -> Merge | None:
    """The pair whose merge makes this token: BPE with only the merges of lower rank leaves two parts."""
    parts = [bytes([b]) for b in token]
    limit = ranks[token]
    while len(parts) > 2:
        rank, i = min((ranks.get(a + b, limit), i) for i, (a, b) in enumerate(pairwise(parts)))
        if rank >= limit:
            return None
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return (parts[0], parts[1])


def full_tokenizer(ranks: Ranks) -> Tokenizer:
    """A tokenizer with large-v3's ids."""
    characters = byte_characters()
    tokens = text_tokens(ranks)
    pairs = [pair for token in tokens if len(token) > 1 and (pair := last_merge(token, ranks))]
    merges = [(shown(a, characters), shown(b, characters)) for a, b in pairs]
    return whisper_tokenizer([shown(token, characters) for token in tokens], merges, special_tokens())


if __name__ == "__main__":
    built = build_tokenizer(read_ranks(Path(sys.argv[1])))
    print(len(vocabulary(built)), "tokens")
    for text in [" alpha seven bravo", " sieben drei fünf", "七三一", " zéro deux"]:
        ids = built.encode(text).ids
        print(repr(text), ids, repr(built.decode(ids)))
