"""A loaded model, through all that is planned for it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from .calls import Placement, Whisper
from .chunks import Chunk, chunks_of
from .clips import Clip, choose, clips_for, read_clips
from .composed import Sounds, distinct, sounds_of
from .dimensions import Dimensions
from .engine_rows import Loaded, Row
from .peaks import Peak
from .report import tell
from .roofline import Roofline
from .stages import BEAMED, JOINED, Batch, Cell, Stage
from .vram import used_now, watched


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured of each loaded model: contexts are in seconds, `rounds` the calls of each worker in a cell."""

    batches: Sequence[int]
    contexts: Sequence[float]
    cells: Sequence[Cell]
    rounds: int
    seed: int


@dataclass(frozen=True, slots=True)
class Subject:
    """A model folder, what its calls cost, and recordings that it can read."""

    name: str
    folder: Path
    dimensions: Dimensions
    clips: Sequence[Clip]
    sounds: Sounds

    @classmethod
    def of(cls, name: str, folder: Path) -> Self:
        """Raises ValueError where the folder holds no Whisper."""
        manifest, choice = clips_for(name)
        clips = distinct(choose(read_clips(manifest), choice))
        return cls(name, folder, Dimensions.of(folder), clips, sounds_of(clips))


def cells_of(stages: Sequence[Stage], beams: Sequence[int], encode_batches: Sequence[int]) -> list[Cell]:
    """Each stage with all that it is measured by."""
    return [
        Cell(stage, width, at_once)
        for stage in stages
        for width in (beams if stage in BEAMED else [1])
        for at_once in (encode_batches if stage in JOINED else [0])
    ]


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one loaded model; `failures` are cells that CTranslate2 did not do, for want of memory or else."""

    loaded: Loaded
    rows: Sequence[Row]
    failures: Sequence[str]


def measure(subject: Subject, placement: Placement, plan: Plan, peak: Peak | None) -> Measured:
    """Load the model, and take all cells of the plan. Raises what CTranslate2 raises where it cannot be loaded."""
    before, clock = used_now(), time.perf_counter()
    whisper = Whisper.load(subject.folder, placement)
    seconds = time.perf_counter() - clock
    whisper = replace(whisper, placement=replace(placement, compute_type=whisper.compute_type))
    tell(f"{subject.name}, {whisper.compute_type}, {placement.workers} workers: loaded in {seconds:.1f} s")
    bench = Bench(whisper, Roofline(subject.dimensions, whisper.compute_type), plan, peak)
    for context in plan.contexts:
        bench.take(context, chunks_of(whisper, subject.clips, subject.sounds, context, plan.seed))
    return Measured(Loaded(whisper.placement, seconds, before, used_now()), bench.rows, bench.failures)


@dataclass(frozen=True, slots=True)
class Bench:
    """A loaded model with all that came of it so far."""

    whisper: Whisper
    roofline: Roofline
    plan: Plan
    peak: Peak | None
    rows: list[Row] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def take(self, context: float, chunks: Sequence[Chunk]) -> None:
        """All batches of one context, in which chunks come again once all have come."""
        for size in self.plan.batches:
            tell(f"  {context:g} s, batches of {size}")
            with self._noting(f"batches of {size}, {context:g} s"):
                batch = Batch(self.whisper, [chunks[number % len(chunks)] for number in range(size)], context)
                self._take_cells(batch, context)

    def _take_cells(self, batch: Batch, context: float) -> None:
        for cell in self.plan.cells:
            if _can_be_taken(cell, batch, self.whisper.placement.workers):
                with self._noting(f"{cell}, batches of {len(batch)}, {context:g} s"):
                    self.rows.append(self._row(cell, batch, context))

    def _row(self, cell: Cell, batch: Batch, context: float) -> Row:
        with watched() as vram:
            taken = batch.take(cell, self.roofline, self.plan.rounds)
        return Row.of(cell, self.whisper.placement, context, batch, taken, self.peak, vram.peak)

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """A failure of CTranslate2's, for want of memory or else, ends only what it happened in."""
        try:
            yield
        except RuntimeError as error:
            self.failures.append(f"{what}, {self.whisper.placement}: {error}")
            tell(f"    failed: {self.failures[-1]}")


def _can_be_taken(cell: Cell, batch: Batch, workers: int) -> bool:
    """Words are aligned where there are any, and one worker cannot divide its work."""
    if cell.stage is Stage.ALIGN:
        return batch.can_align
    return cell.stage is not Stage.SEPARATE or workers > 1
