"""How the service does under load: real HTTP, a closed loop at each of several concurrencies.

    python benchmarks/load.py --model base --concurrency 1,4,16 --serve "--beam-size 1" --json load.json

Each user posts the next recording once the last is answered; every answer's words are checked.
"""

import asyncio
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import httpx2
import typer

from harness.clips import CALLSIGN, Clip, choose, clips_for, draw, read_clips
from harness.figures import Figures
from harness.loop import Run, closed_loop
from harness.machine import Processors
from harness.metrics import Counters, Served
from harness.process import ServerFailed, free_port, running
from harness.report import Setting, say, tell, write_json
from harness.table import figure, markdown, percent

HEADER = (
    "users",
    "requests",
    "requests/s",
    "RTFx",
    "p50 s",
    "p95 s",
    "p99 s",
    "mean batch",
    "busy workers",
    "CPU s / audio s",
    "others' cores",
    "word errors %",
    "exact",
    "errors",
)


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one concurrency, and what the service counted meanwhile.

    `busy_workers` is how many engine workers were at work on average, `others_cores` how
    many cores of this machine others than the service took.
    """

    figures: Figures
    mean_batch: float | None
    busy_workers: float
    cpu_per_audio_second: float | None
    others_cores: float | None

    @classmethod
    def of(cls, run: Run, counted: Counters, others_cores: float | None) -> "Row":
        figures = Figures.of([run])
        return cls(
            figures=figures,
            mean_batch=counted.mean_batch,
            busy_workers=counted.busy_seconds / run.seconds,
            cpu_per_audio_second=counted.cpu_seconds / figures.audio_seconds if figures.audio_seconds else None,
            others_cores=others_cores,
        )

    def cells(self) -> list[str]:
        figures = self.figures
        return [
            str(figures.concurrency),
            str(figures.requests),
            figure(figures.requests_per_second),
            figure(figures.rtfx, 1),
            *map(figure, (figures.p50, figures.p95, figures.p99, self.mean_batch, self.busy_workers)),
            figure(self.cpu_per_audio_second, 3),
            figure(self.others_cores),
            percent(figures.word_errors),
            str(figures.exact),
            str(figures.errors),
        ]


@contextmanager
def service(server: str | None, model: str, serve: str) -> Iterator[str]:
    """The URL of the server named, or of one started for as long as this lasts."""
    if server:
        yield server.rstrip("/")
        return
    port = free_port()
    command = [sys.executable, "-m", "asr_api", "serve", "--model", model, "--port", str(port), *shlex.split(serve)]
    tell(f"starting {shlex.join(command[1:])}")
    with running(command, port) as process:
        yield process.url


def measure(url: str, clips: Sequence[Clip], users: int, tell_language: bool) -> Row:
    """One closed loop, between two looks at the service's counters."""
    before, processors = Counters.parse(scrape(url)), Processors.look()
    run = asyncio.run(closed_loop(url, clips, users, tell_language=tell_language))
    counted = Counters.parse(scrape(url)).since(before)
    row = Row.of(run, counted, processors.taken_by_others(counted.cpu_seconds, run.seconds))
    tell(f"{users} users: {len(run.answers)} requests in {run.seconds:.1f} s")
    for error in sorted({answer.error for answer in run.answers if answer.error}):
        tell(f"  {error}")
    return row


def scrape(url: str) -> str:
    return httpx2.get(f"{url}/metrics").raise_for_status().text


def fault(rows: Sequence[Row], model: str) -> str | None:
    """What makes the run a failure: a refused request, or a call sign that is not to the letter."""
    refused = sum(row.figures.errors for row in rows)
    inexact = sum(row.figures.requests - row.figures.errors - row.figures.exact for row in rows)
    if refused:
        return f"{refused} requests were not answered"
    return f"{inexact} answers are not exact" if inexact and model == CALLSIGN else None


def main(
    model: Annotated[str, typer.Option(help="model to serve")] = "base",
    server: Annotated[str | None, typer.Option(help="URL of a running server, instead of starting one")] = None,
    serve: Annotated[str, typer.Option(help='more options for the server, as "--beam-size 1"')] = "",
    clips: Annotated[Path | None, typer.Option(help="manifest of the clips; default: by model")] = None,
    languages: Annotated[str | None, typer.Option(help="languages of the clips, as en,ru")] = None,
    shortest: Annotated[float | None, typer.Option(help="seconds of a clip at least")] = None,
    longest: Annotated[float | None, typer.Option(help="seconds of a clip at most")] = None,
    concurrency: Annotated[str, typer.Option(help="users at once, one run each")] = "1,4,16",
    requests: Annotated[int, typer.Option(help="requests of each run", min=1)] = 24,
    seed: Annotated[int, typer.Option(help="decides the order of the clips")] = 1,
    tell_language: Annotated[bool, typer.Option(help="send each clip's language, so that none is detected")] = False,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """Measure the service under load."""
    with service(server, model, serve) as url:
        served = Served.parse(scrape(url))
        manifest, choice = clips_for(served.model)
        choice = replace(
            choice,
            shortest=choice.shortest if shortest is None else shortest,
            longest=choice.longest if longest is None else longest,
            languages=choice.languages if languages is None else languages.split(","),
        )
        chosen = choose(read_clips(clips or manifest), choice)
        asyncio.run(closed_loop(url, chosen[:1], 1))  # the first call of all is slower than any other
        order = draw(chosen, requests, seed)
        rows = [measure(url, order, int(users), tell_language) for users in concurrency.split(",")]
    setting = Setting(served, len(chosen), seed, serve)
    say(f"{setting}\n\n{markdown(HEADER, [row.cells() for row in rows])}")
    if json:
        write_json(json, setting, [asdict(row) for row in rows])
    if problem := fault(rows, served.model):
        raise SystemExit(problem)


if __name__ == "__main__":
    try:
        typer.run(main)
    except ServerFailed as error:
        sys.exit(str(error))
