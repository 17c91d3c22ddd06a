"""The command: parts one after another, each told as soon as it is there."""

import json as json_text
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from benchmarks.harness.process import ServerFailed
from benchmarks.harness.report import say, tell

from asr_api.errors import StartupError

from .debian import NoPackages
from .parts import PARTS, Measured, Part, part_named
from .report import Report, Section
from .synthesis import NoSynthesiser

MISSED, UNMEASURED = 1, 2
"""Exit codes: a bar was not met; a part could not be measured."""

NOT_HERE = (NoPackages, NoSynthesiser, ServerFailed, StartupError, httpx2.HTTPError, subprocess.CalledProcessError)
"""What keeps a part from being measured, with a sentence that says why."""

Full = Annotated[bool, typer.Option("--full", help="Debian's recordings too, fetched once by apt-get")]
Every = Annotated[int | None, typer.Option(min=1, help="of Debian's recordings only each n-th; 1: all of them")]
Json = Annotated[Path | None, typer.Option(help="file to write the figures to")]


def alone(name: str) -> None:
    """The command line of one part: `--full`, `--every` for parts that know it, and `--json`."""

    def run_alone(full: Full = False, every: Every = None, json: Json = None) -> None:
        """Measure this part."""
        options = {} if every is None else {"every": every}
        measured([part_named(name)], full=full, json=json, **options)

    typer.run(run_alone)


def run(
    full: Full = False,
    part: Annotated[list[str] | None, typer.Option(help="only this part; may be given more than once")] = None,
    json: Json = None,
) -> None:
    """Accuracy on real recordings: exit code 1 where a bar is missed, 2 where a part cannot be measured."""
    measured(chosen(part or (), full=full), full=full, json=json)


def chosen(names: Sequence[str], *, full: bool) -> list[Part]:
    """The parts of these names, in their order; where there are none, all or the brief ones.

    Raises typer.BadParameter for a name that no part has.
    """
    unknown = sorted(set(names) - {one.name for one in PARTS})
    if unknown:
        raise typer.BadParameter(f"no part is called {unknown[0]}; there are {', '.join(one.name for one in PARTS)}")
    return [one for one in PARTS if (one.name in names if names else full or one.brief)]


def measured(parts: Sequence[Part], *, full: bool, json: Path | None, **options: int) -> None:
    """Measure and tell all parts. Raises typer.Exit where a bar is missed or a part cannot be measured."""
    clock = _Clock()
    sections: list[Section] = []
    for number, part in enumerate(parts, start=1):
        tell(f"{clock} {part.name}, {number} of {len(parts)}")
        section = Section(part.name, part.title, _measured(part, full, options))
        say(f"{section}\n")
        sections.append(section)
    report = Report(sections, {"full": full, **options})
    tell(f"{clock} done")
    say(f"{report}")
    if json:
        text = json_text.dumps(report.as_json(), indent=2, ensure_ascii=False)
        json.write_text(f"{text}\n", encoding="utf-8")
    if report.missed:
        raise typer.Exit(MISSED)


def _measured(part: Part, full: bool, options: Mapping[str, int]) -> Measured:
    """The process ends with a sentence where the part cannot be had."""
    try:
        return part.measure(full, **options)
    except NOT_HERE as error:
        sys.stderr.write(f"{part.name}: {error}\n")
        raise typer.Exit(UNMEASURED) from error


class _Clock:
    """Minutes and seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __str__(self) -> str:
        minutes, seconds = divmod(round(time.monotonic() - self._began), 60)
        return f"[{minutes:02}:{seconds:02}]"
