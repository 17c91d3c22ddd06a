"""What is reported of the engine's calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from .calls import Placement
from .peaks import Peak
from .roofline import flop, least_seconds, moved
from .stages import CHECKED, Batch, Cell, Taken
from .table import figure, percent

LOADED = ("compute type", "workers", "load s", "VRAM before GB", "VRAM after GB")

HEADER = (
    "stage",
    "compute type",
    "workers",
    "context s",
    "batch",
    "beams",
    "encoded at once",
    "s a call",
    "x real time",
    "tokens",
    "GFLOP a call",
    "TFLOP/s",
    "GB/s",
    "of roofline %",
    "VRAM GB",
    "word errors %",
    "changed %",
)


FULL = 30.0
"""Seconds of the context in which the bundled model, widened or not, has learnt to read."""

TOLERATED = 0.01
"""Share of the words that may be others than those of each recording alone: ties in half floats may fall
otherwise in another batch."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded model: seconds, and bytes of the GPU in use by whomever before and after."""

    placement: Placement
    seconds: float
    vram_before: int | None
    vram_after: int | None

    def cells(self) -> list[str]:
        placement = self.placement
        memory = (gigabytes(self.vram_before), gigabytes(self.vram_after))
        return [placement.compute_type, str(placement.workers), figure(self.seconds), *memory]


@dataclass(frozen=True, slots=True)
class Row:
    """One cell with one batch size and context.

    `rate` is seconds of context a second; operations and bytes are those that a call needs at least,
    and their rates those of all workers together; `share` is the roofline's least time of the time it
    took. `changed` is the words that differ from what a greedy search hears in each chunk alone.
    """

    stage: str
    beams: int
    encode_batch: int
    compute_type: str
    workers: int
    context: float
    batch: int
    calls: int
    seconds: float
    rate: float
    tokens: int
    flop: float
    flop_rate: float
    byte_rate: float
    share: float | None
    vram_peak: int | None
    word_errors: float | None
    changed: float | None

    @classmethod
    def of(
        cls,
        cell: Cell,
        placement: Placement,
        context: float,
        batch: Batch,
        taken: Taken,
        peak: Peak | None,
        vram: int | None,
    ) -> Self:
        timed, parts = taken.timed, taken.parts
        a_second = timed.calls / timed.elapsed
        said, changed = batch.errors(taken.tokens) if cell.stage in CHECKED else (None, None)
        return cls(
            stage=cell.stage.value,
            beams=cell.beams,
            encode_batch=cell.encode_batch,
            compute_type=placement.compute_type,
            workers=placement.workers,
            context=context,
            batch=len(batch),
            calls=timed.calls,
            seconds=timed.seconds,
            rate=a_second * len(batch) * context,
            tokens=sum(map(len, taken.tokens)),
            flop=flop(parts),
            flop_rate=a_second * flop(parts),
            byte_rate=a_second * moved(parts),
            share=a_second * least_seconds(parts, peak) if peak else None,
            vram_peak=vram,
            word_errors=said,
            changed=changed if cell.beams == 1 else None,
        )

    def cells(self) -> list[str]:
        return [
            self.stage,
            self.compute_type,
            str(self.workers),
            f"{self.context:g}",
            str(self.batch),
            str(self.beams),
            str(self.encode_batch or "all"),
            figure(self.seconds, 4),
            figure(self.rate, 1),
            str(self.tokens or "-"),
            figure(self.flop / 1e9, 1),
            figure(self.flop_rate / 1e12, 3),
            figure(self.byte_rate / 1e9, 1),
            percent(self.share),
            gigabytes(self.vram_peak),
            percent(self.word_errors),
            percent(self.changed),
        ]


def fault(rows: Sequence[Row], *, callsigns: bool) -> str | None:
    """What makes a run a failure: words that depend on the batch, or call signs that are misread in the whole
    context by a model that reads them.
    """
    if changed := sum((row.changed or 0) > TOLERATED for row in rows):
        return f"{changed} batches were read otherwise than their chunks alone"
    whole = [row for row in rows if row.context == FULL and row.beams == 1]
    wrong = sum((row.word_errors or 0) > TOLERATED for row in whole)
    return f"{wrong} batches were misread" if wrong and callsigns else None


def gigabytes(size: int | None) -> str:
    return figure(None if size is None else size / 1e9)
