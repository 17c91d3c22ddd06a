"""From words to subtitle-sized segments: broken at sentence ends and pauses, never longer than asked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asr_api.engine.protocol import DecodingResult
from asr_api.transcription import AudioChunk, Segment, Word

SENTENCE_END = tuple(".?!。？！…।؟")
ABBREVIATION_LENGTH = 2
"""A word of so few letters before a full stop (`Dr.`, `W.`) does not end a sentence."""


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """When a segment ends: after a sentence, before a pause of `pause` s, at `max_seconds` or `max_characters`.

    Seven seconds and two lines of 42 characters are the usual limits of subtitles
    (BBC and Netflix timed-text guidelines).
    """

    max_seconds: float = 7.0
    max_characters: int = 84
    pause: float = 1.0


def segments_of(chunk: AudioChunk, result: DecodingResult, rules: SegmentRules) -> list[Segment]:
    """The segments of one chunk in the request's time; one for all of it where the words have no times."""
    if not result.words:
        whole = Word(result.text, 0.0, chunk.duration, 1.0, result.tokens)
        return [_segment(chunk, result, (whole,), timed=False)]
    return [_segment(chunk, result, words, timed=True) for words in _groups(result.words, rules)]


def _groups(words: Sequence[Word], rules: SegmentRules) -> Iterator[tuple[Word, ...]]:
    group: list[Word] = []
    for word in words:
        if group and _breaks(group, word, rules):
            yield tuple(group)
            group = []
        group.append(word)
    if group:
        yield tuple(group)


def _breaks(group: Sequence[Word], following: Word, rules: SegmentRules) -> bool:
    first, last = group[0], group[-1]
    return (
        _ends_sentence(last.word)
        or following.start - last.end >= rules.pause
        or following.end - first.start > rules.max_seconds
        or sum(len(word.word) for word in group) + len(following.word) > rules.max_characters
    )


def _ends_sentence(word: str) -> bool:
    text = word.strip()
    short = text.endswith(".") and len(text.rstrip(".")) <= ABBREVIATION_LENGTH and text[:1].isupper()
    return text.endswith(SENTENCE_END) and not short


def _segment(chunk: AudioChunk, result: DecodingResult, words: tuple[Word, ...], *, timed: bool) -> Segment:
    """Numbered 0: whoever joins the chunks numbers them."""
    moved = tuple(
        Word(word.word, round(chunk.start + word.start, 3), round(chunk.start + word.end, 3), word.probability)
        for word in words
    )
    return Segment(
        id=0,
        seek=round(chunk.start * 100),
        start=moved[0].start,
        end=moved[-1].end,
        text="".join(word.word for word in words),
        tokens=tuple(token for word in words for token in word.tokens),
        temperature=result.temperature,
        avg_logprob=result.avg_logprob,
        compression_ratio=result.compression_ratio,
        no_speech_prob=result.no_speech_prob,
        words=moved if timed else (),
    )
