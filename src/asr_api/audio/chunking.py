"""Speech into chunks of at most 30 s, each of which the engine decodes at one go."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

import numpy as np

from asr_api.audio.loudness import LoudStream
from asr_api.audio.speech import BLOCK, Listener, SpeechDetector, SpeechSpan
from asr_api.transcription import CHUNK_SECONDS, SAMPLE_RATE, AudioChunk, AudioOptions, Samples

LONGEST = CHUNK_SECONDS * SAMPLE_RATE
"""Samples of a chunk, at most."""

MAX_PAUSE = 3 * SAMPLE_RATE
"""Samples of silence inside a chunk, at most: after long ones Whisper tends to drop or make up words."""

EARLIEST_CUT = round(LONGEST * 2 / 3)
"""Samples from the start of a chunk to where the search for a place to cut begins."""

MIN_TAIL = round(LONGEST / 6)
"""Samples that a cut leaves over, at least."""

FRAME = SAMPLE_RATE // 50
"""Samples whose energy is taken together: 20 ms."""

SMOOTHING = 5
"""Frames over which the energy is averaged: 100 ms, so that a cut falls between words, not in a stop."""


class Chunker:
    """Makes chunks of one recording while it comes in.

    The chunks hold all speech, in order and not overlapping. A chunk takes one span of speech
    after the other, with the silence between them, until the next would make it longer than 30 s
    or comes after a pause of more than 3 s; where the options say that they are not `joined`, each
    span is a chunk. A span longer than 30 s is first cut, at the quietest place of the last third
    of the 30 s. How the audio is divided into blocks changes nothing.

    A chunk is given out as soon as no audio to come can change it: at most 41 s of audio after its
    end (3 s of pause, 35 s that show how what follows is cut, 1 s of padding, 2 s of the detector's
    block) and `silence_duration_ms`; where nobody stops speaking, 7 s. At most 60 s of samples are
    held, and what `silence_duration_ms` and `prefix_padding_ms` come to. With `normalize` all of it is 2 s more.
    """

    def __init__(self, detector: SpeechDetector, options: AudioOptions) -> None:
        """Without `options.vad` everything is taken for speech and the detector is not asked."""
        self._joined = options.joined
        self._speech = _listener(detector, options)
        self._tape = _Tape()
        self._rest = np.zeros(0, np.float32)  # what does not fill a block yet
        self._cut = 0  # up to here the span that goes on is in pieces already
        self._group: list[SpeechSpan] = []  # the pieces of the chunk that is being made

    def push(self, samples: Samples) -> list[AudioChunk]:
        """The chunks that are final by now."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // BLOCK * BLOCK
        self._rest = samples[whole:].copy()
        starts = range(0, whole, BLOCK)
        return [chunk for start in starts for chunk in self._hear(samples[start : start + BLOCK].copy())]

    def finish(self) -> list[AudioChunk]:
        """The last chunks. Nothing may be pushed any more."""
        chunks = list(self._hear(self._rest)) if len(self._rest) else []
        chunks += [chunk for span in self._speech.finish() for chunk in self._take(span, ended=True)]
        return [*chunks, *self._close()]

    def _hear(self, block: Samples) -> Iterator[AudioChunk]:
        self._tape.append(block)
        for span in self._speech.push(block):
            yield from self._take(span, ended=True)
        yield from self._take(self._speech.pending, ended=False)
        coming = self._coming(self._speech.pending)
        if not self._fits(coming):
            yield from self._close()
        self._tape.forget(self._group[0].start if self._group else coming.start)

    def _take(self, span: SpeechSpan, *, ended: bool) -> Iterator[AudioChunk]:
        """The chunks that a span completes; of one that has not `ended`, `end` is the earliest."""
        for piece in self._pieces(span, ended=ended):
            if not self._fits(piece):
                yield from self._close()
            self._group.append(piece)

    def _pieces(self, span: SpeechSpan, *, ended: bool) -> Iterator[SpeechSpan]:
        """What is not taken yet of a span, no piece longer than a chunk."""
        enough = LONGEST + 1 if ended else LONGEST + MIN_TAIL
        start = max(span.start, self._cut)
        while span.end - start >= enough:
            latest = min(start + LONGEST, span.end - MIN_TAIL)
            self._cut = start + EARLIEST_CUT + _quietest(self._tape.read(start + EARLIEST_CUT, latest))
            yield _part(span, start, self._cut)
            start = self._cut
        if ended and span.end > start:
            yield _part(span, start, span.end)

    def _coming(self, pending: SpeechSpan) -> SpeechSpan:
        """Bounds for the next piece: it begins and ends no earlier than this."""
        start = max(pending.start, self._cut)
        return SpeechSpan(start, min(pending.end, start + EARLIEST_CUT))

    def _fits(self, piece: SpeechSpan) -> bool:
        return not self._group or (
            self._joined
            and piece.end - self._group[0].start <= LONGEST
            and piece.start - self._group[-1].end <= MAX_PAUSE
        )

    def _close(self) -> list[AudioChunk]:
        if not self._group:
            return []
        start, end = self._group[0].start, self._group[-1].end
        voiced = sum(piece.length for piece in self._group) / SAMPLE_RATE
        speech = tuple((piece.start + piece.before - start, piece.end - piece.after - start) for piece in self._group)
        self._group = []
        return [AudioChunk(samples=self._tape.read(start, end), offset=start, voiced=voiced, speech=speech)]


def _listener(detector: SpeechDetector, options: AudioOptions) -> Listener:
    if not options.vad:
        return _Everything()
    return LoudStream(detector.listen(options)) if options.normalize else detector.listen(options)


class _Everything:
    """Takes all audio for speech."""

    def __init__(self) -> None:
        self._length = 0

    def push(self, block: Samples) -> list[SpeechSpan]:
        self._length += len(block)
        return []

    def finish(self) -> list[SpeechSpan]:
        return [self.pending]

    @property
    def pending(self) -> SpeechSpan:
        return SpeechSpan(0, self._length)


class _Tape:
    """The blocks that may still be needed. Positions are those in the whole recording."""

    def __init__(self) -> None:
        self._blocks: deque[Samples] = deque()
        self._start = 0

    def append(self, block: Samples) -> None:
        """All blocks but the last have BLOCK samples."""
        self._blocks.append(block)

    def forget(self, position: int) -> None:
        """What comes before a position is not read any more."""
        while self._blocks and self._start + len(self._blocks[0]) <= position:
            self._start += len(self._blocks.popleft())

    def read(self, start: int, end: int) -> Samples:
        first, last = (start - self._start) // BLOCK, (end - self._start - 1) // BLOCK
        joined = np.concatenate(list(islice(self._blocks, first, last + 1)))
        begin = start - self._start - first * BLOCK
        return joined[begin : begin + end - start]


def _part(span: SpeechSpan, start: int, end: int) -> SpeechSpan:
    """What of a span is between two places in it."""
    before, after = span.start + span.before - start, end - (span.end - span.after)
    return SpeechSpan(start, end, min(max(before, 0), end - start), min(max(after, 0), end - start))


def _quietest(samples: Samples) -> int:
    """The middle of the quietest 100 ms in at least as much audio."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    energy = np.convolve(np.square(frames).mean(axis=1), np.ones(SMOOTHING), mode="valid")
    return int(energy.argmin()) * FRAME + SMOOTHING * FRAME // 2
