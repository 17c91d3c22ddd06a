"""What is reported of a run over HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .curve import Line, Panel, draw_curve
from .engine_rows import TOLERATED, gigabytes
from .figures import Figures
from .loop import Run
from .observed import Observed
from .processes import ROLES, SERVICE
from .table import figure, percent
from .words import Spoken, word_errors

SHOWN_ROLES = (SERVICE, *ROLES.values())

HEADER = (
    "users",
    "offered/s",
    "requests",
    "requests/s",
    "RTFx",
    "p50 s",
    "p95 s",
    "p99 s",
    "mean batch",
    "busy workers",
    *(f"{role} cores" for role in SHOWN_ROLES),
    "others' cores",
    "CPU s / audio s",
    "VRAM GB",
    "word errors %",
    "changed %",
    "exact",
    "errors",
)

Texts = Mapping[Path, str]
"""What was heard in each recording when nothing else was asked."""


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one run, and what was seen of the service meanwhile.

    `offered` is an open loop's requests a second; `busy_workers` is how many engine workers were at
    work on average, `cores` how many cores each kind of process took and `others_cores` all others
    on this machine; `changed` is the share of words that differ from those of each recording alone.
    """

    figures: Figures
    offered: float | None
    mean_batch: float | None
    busy_workers: float
    cores: Mapping[str, float]
    others_cores: float | None
    cpu_per_audio_second: float | None
    vram_peak: int | None
    changed: float | None

    @classmethod
    def of(cls, run: Run, seen: Observed, alone: Texts, offered: float | None = None) -> Self:
        figures = Figures.of([run])
        heard = [answer for answer in run.answers if answer.error is None]
        return cls(
            figures=figures,
            offered=offered,
            mean_batch=seen.counted.mean_batch,
            busy_workers=seen.counted.busy_seconds / run.seconds,
            cores={role: seconds / run.seconds for role, seconds in seen.cpu.items()},
            others_cores=seen.others_cores,
            cpu_per_audio_second=seen.cpu_seconds / figures.audio_seconds if figures.audio_seconds else None,
            vram_peak=seen.vram_peak,
            changed=word_errors([Spoken(alone[a.clip.path], a.clip.language, a.text) for a in heard]),
        )

    def cells(self) -> list[str]:
        figures = self.figures
        return [
            str(figures.concurrency or "-"),
            figure(self.offered),
            str(figures.requests),
            figure(figures.requests_per_second),
            figure(figures.rtfx, 1),
            *map(figure, (figures.p50, figures.p95, figures.p99, self.mean_batch, self.busy_workers)),
            *(figure(self.cores.get(role)) for role in SHOWN_ROLES),
            figure(self.others_cores),
            figure(self.cpu_per_audio_second, 4),
            gigabytes(self.vram_peak),
            percent(figures.word_errors),
            percent(self.changed),
            str(figures.exact),
            str(figures.errors),
        ]


def fault(rows: Sequence[Row], *, exactly: bool) -> str | None:
    """What makes a run a failure: a refused request, or words that are others than alone, or than they should be."""
    if refused := sum(row.figures.errors for row in rows):
        return f"{refused} requests were not answered"
    inexact = sum(row.figures.requests - row.figures.exact for row in rows)
    if inexact and exactly:
        return f"{inexact} answers are not exact"
    changed = sum((row.changed or 0) > TOLERATED for row in rows)
    return f"in {changed} runs the words were others than alone" if changed else None


def curve(rows: Sequence[Row], caption: str) -> str:
    """An SVG of the closed loops: throughput and latency against the users."""
    figures = [row.figures for row in rows if row.offered is None]
    latency = [
        Line("p50", [each.p50 for each in figures]),
        Line("p95", [each.p95 for each in figures]),
        Line("p99", [each.p99 for each in figures]),
    ]
    throughput = Line("", [each.requests_per_second for each in figures])
    panels = [Panel("requests a second", [throughput]), Panel("seconds to the answer", latency)]
    return draw_curve(caption, "requests at once", [str(each.concurrency) for each in figures], panels)
