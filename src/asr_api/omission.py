"""Speech for which Whisper wrote nothing: found by where the words stand, and cut out to be heard again.

Whisper leaves out a phrase now and then, without any score that tells. But the voice activity detector hears it, and
of the words none stands there, or one that is stretched over it. Heard again behind what was said before it, the
phrase comes out (docs/accuracy.md, "Speech without words").
"""

from collections.abc import Sequence
from dataclasses import replace
from math import log

import numpy as np

from asr_api.engine.protocol import LEAST_PROBABILITY
from asr_api.spectrogram import FRAMES, HOP
from asr_api.stitching import Heard
from asr_api.transcription import SAMPLE_RATE, ChunkPlace, FeatureChunk, Span, Word

LEAST = 0.8
"""Seconds of speech that may not be without words."""

TOKENS = 1.5
"""Tokens a second of speech, at least: of 1,649 stretches of English and Russian prompts two had fewer, 0 and 0.7, both
left out, and the others 1.8 and more; a third one that was left out, in other recordings, had 1.2."""

LEAD = 12.0
"""Seconds of what was said before that an omission is heard with, at most: whole stretches of speech. With 8 to 12 two
omitted phrases came out word by word; with 3 to 6 one came by its sound, and with 15 and more the other not at all."""

LIKELY = -0.7
"""Log-probability of a token, in the mean, from which what was heard again is believed: what was left out had -0.06 to
-0.54, and what was made up without a lead-in -0.4 to -1.1."""

TINY = 1e-9
"""Seconds that a word overlaps at least, so that one in no speech is shared out to none."""


def omission_in(place: ChunkPlace, words: Sequence[Word]) -> int | None:
    """The first stretch of speech in a chunk, by its number, in which hardly a word stands; None where there is none.

    A word counts where it stands, in proportion: its tokens are shared out over the speech that it overlaps.
    """
    spans = np.array(place.speech, np.float64).reshape(-1, 2) / SAMPLE_RATE
    starts, ends = np.array([(word.start, word.end) for word in words], np.float64).reshape(-1, 2).T[:, :, np.newaxis]
    overlaps = np.maximum(0.0, np.minimum(ends, spans[:, 1]) - np.maximum(starts, spans[:, 0]))
    tokens = np.array([len(word.tokens) for word in words])[:, np.newaxis]
    written = (tokens * overlaps / np.maximum(overlaps.sum(axis=1, keepdims=True), TINY)).sum(axis=0)
    lengths = spans[:, 1] - spans[:, 0]
    bare = np.flatnonzero((lengths >= LEAST) & (written < TOKENS * lengths))
    return int(bare[0]) if bare.size else None


def part(chunk: FeatureChunk, first: int, end: int) -> FeatureChunk:
    """What of a chunk has its stretches of speech from number `first` to the one before `end`, which may be none: it is
    cut in the middle of the pauses.
    """
    place, speech = chunk.place, chunk.place.speech[first:end]
    cuts = [0, *(_middle(one, other) for one, other in zip(place.speech, place.speech[1:], strict=False)), place.length]
    start, stop = cuts[first], cuts[end]
    frames = chunk.features[:, start // HOP : -(-stop // HOP)]
    share = sum(b - a for a, b in speech) / max(1, sum(b - a for a, b in place.speech))
    moved = tuple((a - start, b - start) for a, b in speech)
    return FeatureChunk(ChunkPlace(place.offset + start, stop - start, share * place.voiced, moved), frames)


def first_of(chunk: FeatureChunk, omission: int) -> int:
    """Where the part begins that is heard again: with the chunk, where that is near, so that nothing short is left over
    to be heard for itself; else with the omission.
    """
    return 0 if part(chunk, 0, omission + 1).place.duration <= LEAD else omission


def _middle(before: Span, after: Span) -> int:
    """A whole number of frames."""
    return (before[1] + after[0]) // 2 // HOP * HOP


def likelihood(words: Sequence[Word]) -> float:
    """The mean log-probability of the words' tokens, as far as the words' own means tell it."""
    tokens = sum(len(word.tokens) for word in words)
    return sum(len(word.tokens) * log(max(word.probability, LEAST_PROBABILITY)) for word in words) / max(1, tokens)


def lead_in(before: FeatureChunk, piece: FeatureChunk) -> FeatureChunk | None:
    """The last stretches of speech of what was said before a piece: as many as last no longer than `LEAD`, and with it
    no longer than a chunk; None where not even the last does.
    """
    room = min(round(LEAD * SAMPLE_RATE / HOP), FRAMES - piece.features.shape[1])
    count = len(before.place.speech)
    parts = (part(before, first, count) for first in range(count))
    return next((one for one in parts if one.features.shape[1] <= room), None)


class Led:
    """A part of a chunk behind a lead-in, as one chunk."""

    def __init__(self, lead: FeatureChunk, piece: FeatureChunk) -> None:
        self._frames = lead.features.shape[1]
        self._place = piece.place
        length = self._frames * HOP + piece.place.length
        place = ChunkPlace(piece.place.offset, length, lead.place.voiced + piece.place.voiced)
        self.chunk = FeatureChunk(place, np.concatenate([lead.features, piece.features], axis=1))

    def piece_of(self, heard: Heard) -> Heard | None:
        """Of what was heard of both what stands in the part, in its own time; None where that is only what stands
        right before it once more, or its last word, stretched over a part in which nothing was heard.
        """
        begins, result = self._frames * HOP / SAMPLE_RATE, heard.result
        first = sum((word.start + word.end) / 2 < begins for word in result.words)
        count = len(result.words) - first
        repeated = _bare(result.words[first:]) == _bare(result.words[max(0, first - count) : first])
        if repeated or (count == 1 and result.words[first].start < begins):
            return None
        words = tuple(
            replace(word, start=max(0.0, word.start - begins), end=word.end - begins) for word in result.words[first:]
        )
        tokens = tuple(token for word in words for token in word.tokens)
        logprobs = result.logprobs[len(result.logprobs) - len(tokens) :] if result.logprobs else ()
        text = "".join(word.word for word in words)
        own = replace(result, text=text, tokens=tokens, words=words, logprobs=logprobs)
        return replace(heard, place=self._place, result=own)


def _bare(words: Sequence[Word]) -> list[str]:
    """The words without their marks."""
    return ["".join(filter(str.isalnum, word.word.casefold())) for word in words]
