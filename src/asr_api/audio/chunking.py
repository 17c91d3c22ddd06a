"""Speech into chunks of at most 30 s, each of which the engine decodes at one go."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from asr_api.audio.speech import SpeechSpan
from asr_api.transcription import CHUNK_SECONDS, SAMPLE_RATE, AudioChunk, Samples

MAX_PAUSE = 3.0
"""Seconds of silence inside a chunk, at most: after long ones Whisper tends to drop or make up words."""

EARLIEST_CUT = 2 / 3
"""Where the search for a place to cut begins, as a share of the longest chunk."""

MIN_TAIL = 1 / 6
"""What a cut leaves over at least, as a share of the longest chunk."""

FRAME = SAMPLE_RATE // 50
"""Samples whose energy is taken together: 20 ms."""

SMOOTHING = 5
"""Frames over which the energy is averaged: 100 ms, so that a cut falls between words, not in a stop."""


def split(
    samples: Samples, spans: Sequence[SpeechSpan], max_seconds: float = CHUNK_SECONDS, max_pause: float = MAX_PAUSE
) -> list[AudioChunk]:
    """Chunks that hold all speech: in order, not overlapping, none longer than `max_seconds`.

    `spans` are in order, not overlapping and within `samples`. A chunk takes one span after the
    other, with the silence between them, until the next would make it too long or comes after a
    pause of more than `max_pause` seconds. A span too long for any chunk is first cut at the
    quietest place of the last third of the longest chunk. The samples of a chunk are a view.
    """
    longest = round(max_seconds * SAMPLE_RATE)
    pieces = [piece for span in spans for piece in _cut(samples, span, longest)]
    return [_chunk(samples, group) for group in _groups(pieces, longest, round(max_pause * SAMPLE_RATE))]


def _cut(samples: Samples, span: SpeechSpan, longest: int) -> Iterator[SpeechSpan]:
    start = span.start
    while span.end - start > longest:
        latest = min(start + longest, span.end - round(longest * MIN_TAIL))
        cut = _quietest(samples, start + round(longest * EARLIEST_CUT), latest)
        yield SpeechSpan(start, cut)
        start = cut
    if span.end > start:
        yield SpeechSpan(start, span.end)


def _quietest(samples: Samples, start: int, end: int) -> int:
    """The middle of the quietest 100 ms between two positions at least as far apart."""
    frames = samples[start : start + (end - start) // FRAME * FRAME].reshape(-1, FRAME)
    energy = np.convolve(np.square(frames).mean(axis=1), np.ones(SMOOTHING), mode="valid")
    return start + int(energy.argmin()) * FRAME + SMOOTHING * FRAME // 2


def _groups(pieces: Iterable[SpeechSpan], longest: int, longest_pause: int) -> Iterator[list[SpeechSpan]]:
    group: list[SpeechSpan] = []
    for piece in pieces:
        if group and (piece.end - group[0].start > longest or piece.start - group[-1].end > longest_pause):
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _chunk(samples: Samples, group: Sequence[SpeechSpan]) -> AudioChunk:
    start, end = group[0].start, group[-1].end
    voiced = sum(piece.length for piece in group) / SAMPLE_RATE
    return AudioChunk(samples=samples[start:end], offset=start, voiced=voiced)
