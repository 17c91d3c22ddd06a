"""The settings of the engine on a CPU, beside each other: workers, threads, beams, compute type, batch, context.

    python benchmarks/cpu.py --rounds 2 --json cpu.json
    python benchmarks/cpu.py --variant "mine=--num-workers 2 --cpu-threads 2 --beam-size 1"

Each variant is the service with these options, in a process of its own; they take turns on the same clips, many
at once and one by one. The first is what there is without any option, and the others are told as times of it.
"""

import asyncio
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from asr_api import __version__
from harness.clips import choose, clips_for, draw, read_clips
from harness.contenders import PORT, Contender
from harness.contest import SPOKEN, Row, conclude, play, servers
from harness.metrics import Served
from harness.process import ServerFailed
from harness.report import Setting

DEFAULTS = "defaults"
VARIANTS: Mapping[str, str] = {
    "1 beam": "--beam-size 1",
    "5 beams": "--beam-size 5",
    "1 worker": "--num-workers 1",
    "1 worker of 1 thread": "--num-workers 1 --cpu-threads 1",
    "2 workers of 1 thread": "--num-workers 2 --cpu-threads 1",
    "3 workers": "--num-workers 3",
    "batches of 1": "--max-batch-size 1",
    "batches of 4": "--max-batch-size 4",
    "batches of 16": "--max-batch-size 16",
    "float32": "--compute-type float32",
    "whole contexts": "--audio-context whole",
}
"""By name, the options of `asr-api serve`; one thing at a time differs from the defaults."""


def contender(name: str, options: str, model: str) -> Contender:
    """The service with these options."""
    command = ("-m", "asr_api", "serve", "--model", model, "--device", "cpu", "--port", PORT)
    return Contender(name, command=(sys.executable, *command, *shlex.split(options)))


def chosen(names: str | None, added: list[str] | None) -> Iterator[tuple[str, str]]:
    """The defaults first. Raises ValueError for a name that is none."""
    yield DEFAULTS, ""
    for name in VARIANTS if names is None else filter(None, names.split(",")):
        if name not in VARIANTS:
            raise ValueError(f"{name!r} is none of {', '.join(VARIANTS)}")
        yield name, VARIANTS[name]
    for text in added or ():
        name, _, options = text.partition("=")
        yield name, options


def main(
    model: Annotated[str, typer.Option(help="model to serve")] = "base",
    variants: Annotated[str | None, typer.Option(help=f"some of {', '.join(VARIANTS)}")] = None,
    variant: Annotated[list[str] | None, typer.Option(help="another: NAME=OPTIONS of asr-api serve")] = None,
    count: Annotated[int, typer.Option(help="clips of each round", min=1)] = 16,
    concurrency: Annotated[str, typer.Option(help="users at once, one run each")] = "16,1",
    rounds: Annotated[int, typer.Option(help="rounds at each concurrency", min=1)] = 2,
    seed: Annotated[int, typer.Option(help="decides which clips, and their order")] = 1,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """Measure the service with one setting after the other."""
    contenders = [contender(name, options, model) for name, options in chosen(variants, variant)]
    manifest, choice = clips_for(model)
    drawn = draw(choose(read_clips(manifest), SPOKEN if choice.languages else choice), count, seed)
    rows: list[Row] = []
    with servers(contenders) as started:
        for server in started:
            asyncio.run(server.warm_up(drawn[0]))
        for users in concurrency.split(","):
            rows += play(started, drawn, int(users), rounds, DEFAULTS)
    setting = Setting(Served(__version__, model, "cpu", "auto"), len(drawn), seed, f"{rounds} rounds")
    conclude(setting, rows, json)


if __name__ == "__main__":
    try:
        typer.run(main)
    except (ServerFailed, ValueError) as error:
        sys.exit(str(error))
