"""The engine's calls that are measured, with what each must cost at least."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from asr_api.spectrogram import Features

from .calls import Encoded, Tokens, Whisper
from .chunks import Chunk
from .composed import LANGUAGE
from .roofline import Parts, Roofline
from .timing import Timed, relayed, timed
from .words import Spoken, word_errors


class Stage(StrEnum):
    """`encode` to `align` are CTranslate2's calls, `timestamps` being a decode that writes them.

    `whole` is encode and decode one after the other, as the service does, in each worker; `separate`
    the same work with one worker that encodes and others that decode.
    """

    ENCODE = "encode"
    DETECT = "detect"
    DECODE = "decode"
    TIMESTAMPS = "timestamps"
    ALIGN = "align"
    WHOLE = "whole"
    SEPARATE = "separate"


CHECKED = frozenset({Stage.DECODE, Stage.WHOLE, Stage.SEPARATE})
"""Stages whose words are checked."""

BEAMED = CHECKED
"""Stages that are measured with each number of beams; timestamps are with one."""

JOINED = frozenset({Stage.WHOLE, Stage.SEPARATE})
"""Stages that encode some chunks at a time and then decode all."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A stage, the beams of its search, and the chunks that are encoded at a time (0: all)."""

    stage: Stage
    beams: int = 1
    encode_batch: int = 0


Call = Callable[[], list[Tokens]]


@dataclass(frozen=True, slots=True)
class Taken:
    """How long the calls of a cell took, what one must cost, and the tokens of each chunk where it searched."""

    timed: Timed[list[Tokens]]
    parts: Parts

    @property
    def tokens(self) -> list[Tokens]:
        return self.timed.result


class Batch:
    """Chunks of `context` seconds that are worked on together, in each call of each worker."""

    def __init__(self, whisper: Whisper, chunks: Sequence[Chunk], context: float) -> None:
        self._whisper, self._chunks, self._context = whisper, chunks, context
        self._features: Features = whisper.stack([chunk.features for chunk in chunks])
        self._encoded: Encoded = whisper.encode(self._features)

    def __len__(self) -> int:
        return len(self._chunks)

    @property
    def can_align(self) -> bool:
        """Whether there is a token in each chunk."""
        return all(chunk.tokens for chunk in self._chunks)

    def take(self, cell: Cell, roofline: Roofline, rounds: int) -> Taken:
        """Make the calls of a cell, `rounds` times by each worker."""
        workers = self._whisper.placement.workers
        if cell.stage is Stage.SEPARATE:
            done = relayed(lambda: self._encode(cell), lambda made: self._decode(made, cell), workers, rounds)
        else:
            done = timed(self._call(cell), workers, rounds)
        return Taken(done, self._parts(cell, roofline, done.result))

    def errors(self, tokens: Sequence[Tokens]) -> tuple[float | None, float | None]:
        """Word errors of what was heard: against what was said, and against what is heard in each chunk alone."""
        heard = list(zip(self._chunks, map(self._whisper.text, tokens), strict=True))
        return (
            word_errors([Spoken(chunk.said, LANGUAGE, text) for chunk, text in heard]),
            word_errors([Spoken(chunk.heard, LANGUAGE, text) for chunk, text in heard]),
        )

    def _call(self, cell: Cell) -> Call:
        calls: dict[Stage, Call] = {
            Stage.ENCODE: lambda: _no_tokens(self._encode(cell)),
            Stage.DETECT: lambda: _no_tokens(self._whisper.detect(self._encoded)),
            Stage.ALIGN: lambda: _no_tokens(self._align()),
            Stage.WHOLE: lambda: self._decode(self._encode(cell), cell),
        }
        return calls.get(cell.stage, lambda: self._decode(self._encoded, cell))

    def _encode(self, cell: Cell) -> Encoded:
        return self._whisper.encode(self._features, cell.encode_batch)

    def _decode(self, encoded: Encoded, cell: Cell) -> list[Tokens]:
        return self._whisper.decode(encoded, len(self), cell.beams, timestamps=cell.stage is Stage.TIMESTAMPS)

    def _align(self) -> object:
        chunks = self._chunks
        return self._whisper.align(self._encoded, [c.tokens for c in chunks], [c.frames for c in chunks])

    def _parts(self, cell: Cell, roofline: Roofline, tokens: Sequence[Tokens]) -> Parts:
        batch, context = len(self), self._context
        if cell.stage is Stage.DETECT:
            return roofline.detect(batch, context)
        if cell.stage is Stage.ALIGN:
            return roofline.align([len(chunk.tokens) for chunk in self._chunks], context)
        encode = self._encode_parts(cell, roofline) if cell.stage in JOINED or cell.stage is Stage.ENCODE else ()
        written = [len(each) + 1 for each in tokens]  # with the one that says that it is the end
        return encode + (roofline.decode(written, context, cell.beams) if written else ())

    def _encode_parts(self, cell: Cell, roofline: Roofline) -> Parts:
        size = cell.encode_batch or len(self)
        sizes = [min(size, len(self) - first) for first in range(0, len(self), size)]
        return tuple(part for each in sizes for part in roofline.encode(each, self._context))


def _no_tokens(_: object) -> list[Tokens]:
    """What a call gives that writes none."""
    return []
