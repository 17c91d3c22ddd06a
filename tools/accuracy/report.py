"""The tables, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from benchmarks.harness.machine import Machine, versions
from benchmarks.harness.metrics import Served
from benchmarks.harness.table import markdown, percent

from .bootstrap import Interval
from .scores import ALL, DEFAULTS, OURS, Row, Score, compare, worst
from .word_times import HEADER, Timing

WORST = 5


@dataclass(frozen=True)
class Part:
    """One model on one set of recordings; `scores` has all sides by name."""

    title: str
    served: Served
    scores: Mapping[str, Sequence[Score]]
    timings: Sequence[Timing] = ()

    @cached_property
    def rows(self) -> Sequence[Row]:
        return compare(self.scores)

    @property
    def worse_than(self) -> list[str]:
        """The sides that ours is worse than over all recordings, by more than chance explains."""
        return next(row.worse_than for row in self.rows if row.language == ALL)

    def __str__(self) -> str:
        tables = [error_table(self.rows)]
        if self.timings:
            tables.append(timing_table(self.timings))
        heading = f"{self.title}: {self.served.model} on {self.served.device} ({self.served.compute_type})"
        return "\n".join(
            [heading, "", *tables, *map(_said_and_heard, worst(self.scores, DEFAULTS, WORST)), *self._verdict()]
        )

    def _verdict(self) -> list[str]:
        return [f"{OURS} is worse than {side}" for side in self.worse_than]

    def as_json(self) -> dict[str, object]:
        return {
            "title": self.title,
            "served": asdict(self.served),
            "rows": [asdict(row) for row in self.rows],
            "timings": [asdict(timing) for timing in self.timings],
            "recordings": [_recording(scores) for scores in zip(*self.scores.values(), strict=True)],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All parts of a run, and where it was made."""

    options: Mapping[str, object]
    parts: Sequence[Part]
    machine: Machine = field(default_factory=Machine.here)
    packages: Mapping[str, str] = field(default_factory=versions)
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def as_json(self) -> dict[str, object]:
        where = {"machine": asdict(self.machine), "packages": dict(self.packages), "date": self.date}
        return {"options": dict(self.options), **where, "parts": [part.as_json() for part in self.parts]}

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return f"{self.machine}; {packages}; {self.date[:10]}"


def _recording(scores: Sequence[Score]) -> dict[str, object]:
    """One recording and what each side made of it, in the order of the columns."""
    clip = scores[0].clip
    sides = [{"text": score.heard.text, "language": score.heard.language, "errors": score.errors} for score in scores]
    return {"file": clip.path.name, "language": clip.language, "text": clip.text, "sides": sides}


def error_table(rows: Sequence[Row]) -> str:
    """Word errors and languages of each side, in percent with 95 % intervals, and differences in points."""
    others = [side for side in rows[0].columns if side != OURS]
    header = ["language", "utterances", "words", f"{OURS}: word errors %", "language right %"]
    for side in others:
        header += [f"{side}: word errors %", "language right %", f"{OURS} less it, points"]
    return markdown(header, [_error_cells(row, others) for row in rows])


def _error_cells(row: Row, others: Sequence[str]) -> list[str]:
    ours = row.columns[OURS]
    cells = [row.language, str(row.utterances), str(row.words), _spread(ours.errors), percent(ours.languages_right)]
    for side in others:
        column = row.columns[side]
        cells += [_spread(column.errors), percent(column.languages_right), _spread(column.less) if column.less else "-"]
    return cells


def _spread(interval: Interval) -> str:
    return f"{percent(interval.value)} ({percent(interval.low)} to {percent(interval.high)})"


def timing_table(timings: Sequence[Timing]) -> str:
    """Errors of word times."""
    return markdown(HEADER, [timing.cells() for timing in timings])


def _said_and_heard(pair: tuple[Score, Score]) -> str:
    clip = pair[0].clip
    sides = zip((OURS, DEFAULTS), pair, strict=True)
    heard = [f"  {side}: {score.heard.text!r} ({score.heard.language})" for side, score in sides]
    return "\n".join([f"{clip.path.name}: {clip.text!r}", *heard])
