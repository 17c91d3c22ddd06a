"""The queue alone: what it can move, and what its policy is worth.

    python benchmarks/queueing.py items            items a second around an engine that does nothing
    python benchmarks/queueing.py items --profile  and where the time goes
    python benchmarks/queueing.py poisson          one load and four mishaps, beside batches formed on a timer

`poisson` runs in virtual time: the loop's clock jumps to the next timer, so that waits are exact and free.
"""

import logging
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from harness import poisson as mishaps
from harness.batchers import Build, Limits, PullBatcher, TimerBatcher
from harness.circumstances import Circumstances
from harness.figures import percentiles
from harness.poisson import Load, Outcome, under_load
from harness.report import say
from harness.table import figure, markdown
from harness.throughput import LOOPS, Throughput, Traffic, measure, profiled
from harness.virtual import run_virtually

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

ITEMS_HEADER = ("loop", "workers", "items/s", "lowest - highest", "items/CPU s", "mean batch", "others' cores")
POISSON_HEADER = (
    "batcher",
    "window ms",
    "mean batch",
    "p50 ms",
    "p50 by seed",
    "p95 ms",
    "lone request adds ms",
    "cancel one of three",
    "one bad item",
    "stop with 20 queued",
)
CONTENDERS: Mapping[str, Build] = MappingProxyType({"asr-api": PullBatcher, "timer and semaphore": TimerBatcher})
PROFILED_ITEMS = 50_000


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one batcher did; times in seconds."""

    batcher: str
    window: float
    mean_batch: float
    p50: float | None
    p95: float | None
    p50_by_seed: tuple[float, ...]
    lone_request_adds: float
    cancel_one_of_three: str
    one_bad_item: str
    stop_while_queued: str

    @classmethod
    def of(cls, name: str, build: Build, window: float, load: Load, seeds: int) -> "Behaviour":
        limits = Limits(window=window)
        outcomes = [run_virtually(under_load(build, limits, load, seed)) for seed in range(1, seeds + 1)]
        p50, p95 = percentiles([seconds for outcome in outcomes for seconds in outcome.latencies], (50, 95))
        return cls(
            batcher=name,
            window=window,
            mean_batch=statistics.fmean(size for outcome in outcomes for size in outcome.batch_sizes),
            p50=p50,
            p95=p95,
            p50_by_seed=tuple(map(median_latency, outcomes)),
            lone_request_adds=run_virtually(mishaps.lone_request(build, limits)),
            cancel_one_of_three=run_virtually(mishaps.cancel_one(build, limits)),
            one_bad_item=run_virtually(mishaps.one_bad(build, limits)),
            stop_while_queued=run_virtually(mishaps.stop_while_queued(build, limits)),
        )

    def cells(self) -> list[str]:
        return [
            self.batcher,
            milliseconds(self.window),
            figure(self.mean_batch),
            milliseconds(self.p50),
            f"{milliseconds(min(self.p50_by_seed))} - {milliseconds(max(self.p50_by_seed))}",
            milliseconds(self.p95),
            milliseconds(self.lone_request_adds),
            self.cancel_one_of_three,
            self.one_bad_item,
            self.stop_while_queued,
        ]


def median_latency(outcome: Outcome) -> float:
    return statistics.median(outcome.latencies)


def milliseconds(seconds: float | None) -> str:
    return figure(None if seconds is None else 1000 * seconds, 0)


def items_cells(runs: Sequence[Throughput]) -> list[str]:
    """One row for the rounds of one kind: medians, and the range of the rate."""
    rates = sorted(run.items_per_second for run in runs)
    others = [run.others_cores for run in runs if run.others_cores is not None]
    return [
        runs[0].loop,
        str(runs[0].traffic.workers),
        figure(statistics.median(rates), 0),
        f"{rates[0]:.0f} - {rates[-1]:.0f}",
        figure(statistics.median(run.items_per_cpu_second for run in runs), 0),
        figure(runs[0].mean_batch),
        figure(statistics.fmean(others) if others else None),
    ]


@app.command()
def items(
    count: Annotated[int, typer.Option("--items", help="items of each run", min=1)] = 100_000,
    callers: Annotated[int, typer.Option(help="callers at once", min=1)] = 512,
    batch: Annotated[int, typer.Option(help="items a batch at most", min=1)] = 16,
    workers: Annotated[str, typer.Option(help="numbers of workers, as 1,2")] = "1,2",
    rounds: Annotated[int, typer.Option(help="runs of each kind, taken in turn", min=1)] = 3,
    profile: Annotated[bool, typer.Option(help="say where the time goes, on asyncio with one worker")] = False,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """Items a second that the queue moves in one thread, with an engine that does nothing."""
    kinds = [(loop, Traffic(count, callers, int(number), batch)) for number in workers.split(",") for loop in LOOPS]
    turns = [[measure(loop, traffic) for loop, traffic in kinds] for _ in range(rounds)]
    runs = list(zip(*turns, strict=True))
    circumstances = Circumstances(f"{count} items a run, {callers} callers, batches of {batch}, {rounds} rounds")
    say(f"{circumstances}\n\n{markdown(ITEMS_HEADER, [items_cells(each) for each in runs])}")
    if json:
        circumstances.write_json(json, [asdict(run) for each in runs for run in each])
    if profile:
        say(profiled("asyncio", Traffic(PROFILED_ITEMS, callers, 1, batch)))


@app.command()
def poisson(
    rate: Annotated[float, typer.Option(help="items a second")] = 60.0,
    count: Annotated[int, typer.Option("--items", help="items of each seed", min=1)] = 180,
    windows: Annotated[str, typer.Option(help="windows in milliseconds, as 10,0")] = "10,0",
    seeds: Annotated[int, typer.Option(help="runs, each with a seed of its own", min=1)] = 20,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """One load and four mishaps: an accelerator of 100 ms a batch of any size up to 8, one batch at a time."""
    logging.disable(logging.ERROR)  # the queue tells of the bad item, as it should
    load = Load(rate=rate, items=count)
    rows = [
        Behaviour.of(name, build, float(window) / 1000, load, seeds)
        for window in windows.split(",")
        for name, build in CONTENDERS.items()
    ]
    circumstances = Circumstances(
        f"{rate:g} items/s in Poisson's way, {count} items, {seeds} seeds; 100 ms a batch of up to 8; virtual time"
    )
    say(f"{circumstances}\n\n{markdown(POISSON_HEADER, [row.cells() for row in rows])}")
    if json:
        circumstances.write_json(json, [asdict(row) for row in rows])


if __name__ == "__main__":
    app()
