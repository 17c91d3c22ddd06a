"""What is told: tables, the recordings to look at, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from benchmarks.harness.machine import Machine, gpu_here, versions
from benchmarks.harness.metrics import Served
from benchmarks.harness.table import markdown, percent

from asr_api.calibration.bootstrap import Interval

from .parts import Measured
from .scores import OURS, Row, Score, ahead, behind, compare
from .word_times import HEADER, Timing

MANY = 2
"""A recording on which ours has so many errors more is listed."""


@dataclass(frozen=True)
class Comparison:
    """One model on one set of recordings; `scores` has all sides by name."""

    served: Served
    scores: Mapping[str, Sequence[Score]]
    timings: Sequence[Timing] = ()

    @cached_property
    def rows(self) -> Sequence[Row]:
        return compare(self.scores)

    @property
    def missed(self) -> list[str]:
        """Languages, and all together, in which ours is worse than another side by more than chance explains."""
        return [
            f"{row.language}: {OURS} makes {spread(less)} points more word errors than {side}"
            for row in self.rows
            for side in row.worse_than
            if (less := row.columns[side].less)
        ]

    def __str__(self) -> str:
        listed = behind(self.scores, MANY)
        count = (
            f"{OURS} makes {MANY} errors or more beyond the best of the others on {len(listed)} recordings, "
            f"and each of the others beyond {OURS} on {ahead(self.scores, MANY)}.\n"
        )
        heading = f"{self.served.model} on {self.served.device} ({self.served.compute_type})\n"
        tables = [error_table(self.rows), language_table(self.rows)]
        tables += [timing_table(self.timings)] if self.timings else []
        return "\n".join([heading, *tables, count, *map(_said_and_heard, listed)])

    def as_json(self) -> dict[str, object]:
        return {
            "served": asdict(self.served),
            "rows": [asdict(row) for row in self.rows],
            "timings": [asdict(timing) for timing in self.timings],
            "recordings": [_recording(scores) for scores in zip(*self.scores.values(), strict=True)],
        }


@dataclass(frozen=True, slots=True)
class Section:
    """What a part found, under its heading."""

    name: str
    title: str
    found: Measured

    @property
    def missed(self) -> list[str]:
        return [f"{self.name}: {bar}" for bar in self.found.missed]

    def __str__(self) -> str:
        return f"## {self.title}\n\n{self.found}"


@dataclass(frozen=True, slots=True)
class Report:
    """All parts of a run, and where it was made."""

    sections: Sequence[Section]
    options: Mapping[str, object]
    machine: Machine = field(default_factory=Machine.here)
    gpu: str = field(default_factory=gpu_here)
    packages: Mapping[str, str] = field(default_factory=versions)
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def missed(self) -> list[str]:
        return [bar for section in self.sections for bar in section.missed]

    def as_json(self) -> dict[str, object]:
        where = {"machine": asdict(self.machine), "gpu": self.gpu, "packages": dict(self.packages), "date": self.date}
        parts = {section.name: section.found.as_json() for section in self.sections}
        return {**self.options, **where, "missed": self.missed, "parts": parts}

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        place = ", ".join(filter(None, [str(self.machine), self.gpu]))
        verdict = "\n".join(f"Missed: {bar}" for bar in self.missed) or "No bar was missed."
        return f"{verdict}\n\n{place}; {packages}; {self.date[:10]}"


def error_table(rows: Sequence[Row]) -> str:
    """Word errors of each side in percent with 95 % intervals, and ours less the best other side's, in points."""
    sides = list(rows[0].columns)
    header = ["language", "recordings", "words", *(f"{side}, errors %" for side in sides), f"{OURS} less the best"]
    return markdown(header, [_error_cells(row, sides) for row in rows])


def _error_cells(row: Row, sides: Sequence[str]) -> list[str]:
    less = row.columns[row.best].less
    errors = [spread(row.columns[side].errors) for side in sides]
    return [row.language, str(row.utterances), str(row.words), *errors, spread(less) if less else "-"]


def language_table(rows: Sequence[Row]) -> str:
    """Of how many recordings each side names the language that is spoken, in percent."""
    sides = list(rows[0].columns)
    header = ["language found, %", *sides]
    return markdown(
        header, [[row.language, *(percent(row.columns[side].languages_right) for side in sides)] for row in rows]
    )


def timing_table(timings: Sequence[Timing]) -> str:
    """Errors of word times."""
    return markdown(HEADER, [timing.cells() for timing in timings])


def spread(interval: Interval) -> str:
    """Shares in percent."""
    return f"{percent(interval.value)} ({percent(interval.low)} to {percent(interval.high)})"


def _said_and_heard(recording: Mapping[str, Score]) -> str:
    clip = recording[OURS].clip
    heard = [
        f"    {side} ({score.heard.language}, {score.errors} errors): {score.heard.text}"
        for side, score in recording.items()
    ]
    return "\n".join([f"{clip.path.name}: {clip.text}\n", *heard, ""])


def _recording(scores: Sequence[Score]) -> dict[str, object]:
    """One recording and what each side made of it, in the order of the columns."""
    clip = scores[0].clip
    sides = [{"text": score.heard.text, "language": score.heard.language, "errors": score.errors} for score in scores]
    return {"file": clip.path.name, "language": clip.language, "text": clip.text, "sides": sides}
