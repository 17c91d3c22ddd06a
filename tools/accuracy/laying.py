"""Phrases laid one after the other into one long recording, and what a transcript makes of each of them."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
from benchmarks.harness.clips import Clip
from benchmarks.harness.words import normalise

from asr_api.transcription import SAMPLE_RATE, Samples

from .heard import TimedSegment
from .signals import power, read

FLOOR = 0.02
"""Share of a recording's peak below which its ends are silence: -34 dB, above the prompts' own noise."""

LEAST_WORDS = 4
LONGEST = 15.0
"""Words of more than a letter in a phrase at least, and seconds at most."""

KEPT = 0.2
"""Share of a phrase's words of which more must be there, or it is lost."""

REPEATED = 0.7
"""Share of a phrase's words that must stand once more beside it for it to be there twice."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase and where it is spoken, in seconds."""

    text: str
    language: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one phrase of so many words: those that are wrong, missing or added, and whether it is lost or there
    twice.

    `start` and `end` are by how many seconds a segment begins and ends off the phrase's own first and last
    word; None where none begins or ends there.
    """

    phrase: Phrase
    words: int
    errors: int
    lost: bool
    twice: bool
    start: float | None
    end: float | None


def lay(clips: Sequence[Clip], seconds: float, pauses: tuple[float, float], seed: int) -> tuple[Samples, list[Phrase]]:
    """Clips in the order given, again from the first once all were laid, for so many seconds, with pauses drawn
    evenly between two bounds.
    """
    rng = random.Random(seed)
    parts: list[Samples] = []
    phrases: list[Phrase] = []
    length, number = 0, 0
    while length < seconds * SAMPLE_RATE:
        clip = clips[number % len(clips)]
        pause = np.zeros(round(rng.uniform(*pauses) * SAMPLE_RATE), np.float32)
        spoken = trimmed(read(clip.path))
        start = (length + len(pause)) / SAMPLE_RATE
        phrases.append(Phrase(clip.text, clip.language, start, start + len(spoken) / SAMPLE_RATE))
        parts += [pause, spoken]
        length, number = length + len(pause) + len(spoken), number + 1
    return np.concatenate(parts), phrases


def phrases_of(clips: Sequence[Clip]) -> list[Clip]:
    """The clips in which enough is said, and not too much, that a phrase which is lost can be told from one that is
    misheard; what is not said, or how, stands in brackets. "One two three" is one word to the judge: one number.
    """
    return [
        clip
        for clip in clips
        if sum(len(word) > 1 for word in clip.text.split()) >= LEAST_WORDS
        and len(normalise(clip.text, clip.language).split()) >= LEAST_WORDS
        and clip.seconds <= LONGEST
        and not set(clip.text) & set("[<(")
    ]


def trimmed(samples: Samples) -> Samples:
    """Without the silence at the ends."""
    loud = np.flatnonzero(np.abs(samples) > FLOOR * np.abs(samples).max(initial=0))
    return samples[loud[0] : loud[-1] + 1] if loud.size else samples


def with_background(samples: Samples, background: Samples, decibels: float) -> Samples:
    """With something behind it, over and over, whose power is by so many decibels below that of what is not silence."""
    behind = np.resize(background, len(samples))
    gain = (power(samples[samples != 0]) / power(behind)) ** 0.5 * 10 ** (-decibels / 20)
    mixed: Samples = np.clip(samples + gain * behind, -1, 1).astype(np.float32)
    return mixed


@dataclass(frozen=True, slots=True)
class _Word:
    """A word that was heard: its segment, and whether it is the first and the last of it."""

    text: str
    segment: TimedSegment
    first: bool
    last: bool


def judge(phrases: Sequence[Phrase], segments: Sequence[TimedSegment], language: str) -> list[Verdict]:
    """What came of each phrase, by the alignment with the fewest errors of all words.

    All texts are normalised as those of one `language`, whatever language the phrases are in.
    """
    heard = list(_words(segments, language))
    texts = [normalise(phrase.text, language).split() for phrase in phrases]
    said = [(number, word) for number, words in enumerate(texts) for word in words]
    found = jiwer.process_words(" ".join(word for _, word in said), " ".join(word.text for word in heard))
    same: list[dict[int, _Word]] = [{} for _ in phrases]
    errors = Counter[int]()
    other: list[list[str]] = [[] for _ in phrases]
    firsts = np.cumsum([0, *map(len, texts)])
    for edit in found.alignments[0]:
        owners = [said[n][0] for n in range(edit.ref_start_idx, edit.ref_end_idx)]
        if edit.type == "equal":
            for n, word in zip(range(edit.ref_start_idx, edit.ref_end_idx), heard[edit.hyp_start_idx :], strict=False):
                same[said[n][0]][n - int(firsts[said[n][0]])] = word
            continue
        owners = owners or [said[min(edit.ref_start_idx, len(said) - 1)][0]]
        beside = [word.text for word in heard[edit.hyp_start_idx : edit.hyp_end_idx]]
        errors.update(owners if edit.type != "insert" else owners * len(beside))
        other[owners[0]] += beside
    return [
        _verdict(phrase, texts[n], same[n], errors[n], other[n : n + 2]) for n, phrase in enumerate(phrases) if texts[n]
    ]


def _verdict(
    phrase: Phrase,
    words: Sequence[str],
    same: Mapping[int, _Word],
    errors: int,
    other: Sequence[Sequence[str]],
) -> Verdict:
    """`same` are the words that were heard right, by their number; `other` what else was heard in and after them."""
    beside = Counter(word for one in other for word in one)
    again = sum((Counter(words) & beside).values())
    first, last = same.get(0), same.get(len(words) - 1)
    return Verdict(
        phrase,
        words=len(words),
        errors=errors,
        lost=len(same) <= KEPT * len(words),
        twice=again >= REPEATED * len(words),
        start=first.segment.start - phrase.start if first and first.first else None,
        end=last.segment.end - phrase.end if last and last.last else None,
    )


def _words(segments: Sequence[TimedSegment], language: str) -> Iterator[_Word]:
    for segment in segments:
        words = normalise(segment.text, language).split()
        for number, word in enumerate(words):
            yield _Word(word, segment, number == 0, number == len(words) - 1)
