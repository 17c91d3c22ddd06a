"""From words to subtitle-sized segments: broken at sentence ends and pauses, never longer than asked."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from asr_api.engine.protocol import DecodingResult
from asr_api.transcription import SAMPLE_RATE, ChunkPlace, Segment, Word

SENTENCE_END = tuple(".?!。？！…।؟")
ABBREVIATION_LENGTH = 2
"""A word of so few letters before a full stop (`Dr.`, `W.`) does not end a sentence."""


CLAUSE_END = tuple(",;:，；：、،—–")

LINES = 2
"""Lines of a subtitle."""

CLAUSE_WORTH = 0.6
BALANCE_WORTH = 1.0
"""What the end of a clause, and halves of equal length, weigh against a second of pause when a sentence is cut."""

SOFT = 0.1
"""Seconds around what the voice activity detector takes for speech in which a word may still begin or end: it hears
soft sounds late, and judges 32 ms at a time."""


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """When a segment ends: after a sentence, before a pause of `pause` s, at `max_seconds`, or two full lines.

    Seven seconds and two lines of 42 characters are the usual limits of subtitles
    (BBC and Netflix timed-text guidelines).
    """

    max_seconds: float = 7.0
    max_line_width: int = 42
    pause: float = 1.0

    def fits(self, words: Sequence[Word]) -> bool:
        length = len("".join(word.word for word in words).strip())
        return words[-1].end - words[0].start <= self.max_seconds and length <= LINES * self.max_line_width


def segments_of(place: ChunkPlace, result: DecodingResult, rules: SegmentRules) -> list[Segment]:
    """The segments of one chunk in the request's time; one for all of it where the words have no times."""
    if not result.words:
        whole = Word(result.text, 0.0, place.duration, 1.0, result.tokens)
        return [_segment(place, result, (whole,), timed=False)]
    words = within_speech(result.words, place)
    return [_segment(place, result, group, timed=True) for group in _groups(words, rules)]


def within_speech(words: Sequence[Word], place: ChunkPlace) -> list[Word]:
    """The words without what of them stands in pauses of speech, where other sounds kept their boundaries away.

    A word that begins in such a pause begins with the speech after it, and one that ends in one ends with the
    speech before it; where there is none of it in the word, it stays as it is. A word of marks alone stays at the end
    of the word before. The order of the times stays.
    """
    if not place.speech:
        return list(words)
    starts = [start / SAMPLE_RATE - SOFT for start, _ in place.speech]
    ends = [end / SAMPLE_RATE + SOFT for _, end in place.speech]
    moved: list[Word] = []
    for word in words:
        marks = bool(moved) and word.start == word.end
        moved.append(replace(word, start=moved[-1].end, end=moved[-1].end) if marks else _moved_in(word, starts, ends))
    return moved


def _moved_in(word: Word, starts: Sequence[float], ends: Sequence[float]) -> Word:
    first = bisect_left(ends, word.start)  # the first span that has not ended by then
    last = bisect_right(starts, word.end) - 1  # the last span that has begun by then
    if first > last:
        return word
    return replace(word, start=max(word.start, starts[first]), end=min(word.end, ends[last]))


def _groups(words: Sequence[Word], rules: SegmentRules) -> Iterator[tuple[Word, ...]]:
    sentence: list[Word] = []
    for word in words:
        if sentence and (_ends_sentence(sentence[-1].word) or word.start - sentence[-1].end >= rules.pause):
            yield from _fitted(tuple(sentence), rules)
            sentence = []
        sentence.append(word)
    if sentence:
        yield from _fitted(tuple(sentence), rules)


def _fitted(words: tuple[Word, ...], rules: SegmentRules) -> Iterator[tuple[Word, ...]]:
    """The words whole, or cut at the best places until every part fits; a word alone is never cut."""
    if len(words) == 1 or rules.fits(words):
        yield words
        return
    cut = max(range(1, len(words)), key=lambda n: _worth(words, n))
    yield from _fitted(words[:cut], rules)
    yield from _fitted(words[cut:], rules)


def _worth(words: Sequence[Word], cut: int) -> float:
    """How good a place is to cut: a pause, the end of a clause, near the middle."""
    pause = words[cut].start - words[cut - 1].end
    clause = CLAUSE_WORTH if words[cut - 1].word.strip().endswith(CLAUSE_END) else 0.0
    return pause + clause - BALANCE_WORTH * abs(2 * cut / len(words) - 1)


def _ends_sentence(word: str) -> bool:
    text = word.strip()
    short = text.endswith(".") and len(text.rstrip(".")) <= ABBREVIATION_LENGTH and text[:1].isupper()
    return text.endswith(SENTENCE_END) and not short


def _segment(place: ChunkPlace, result: DecodingResult, words: tuple[Word, ...], *, timed: bool) -> Segment:
    """Numbered 0: whoever joins the chunks numbers them."""
    moved = tuple(
        Word(word.word, round(place.start + word.start, 3), round(place.start + word.end, 3), word.probability)
        for word in words
    )
    return Segment(
        id=0,
        seek=round(place.start * 100),
        start=moved[0].start,
        end=moved[-1].end,
        text="".join(word.word for word in words),
        tokens=tuple(token for word in words for token in word.tokens),
        temperature=result.temperature,
        avg_logprob=result.avg_logprob,
        compression_ratio=result.compression_ratio,
        no_speech_prob=result.no_speech_prob,
        words=moved if timed else (),
        language=result.language,
    )
