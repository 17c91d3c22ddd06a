"""The results of all checks, for people and for programs."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from asr_api.conformance.check import Result

MARKS = {"passed": "[green]passed[/]", "failed": "[red]failed[/]", "skipped": "[yellow]skipped[/]"}


def print_table(console: Console, server: str, results: Sequence[Result]) -> None:
    """One row a check; a failure says what was asked, what came and why it matters."""
    table = Table(title=f"OpenAI's audio contract at {escape(server)}", title_justify="left")
    table.add_column("outcome", no_wrap=True)
    table.add_column("what must hold", overflow="fold", ratio=1)
    for theme, group in groupby(results, key=lambda result: result.theme):
        table.add_section()
        table.add_row("", f"[bold]{escape(theme)}[/]")
        for result in group:
            table.add_row(MARKS[result.outcome], _cell(result))
    console.print(table)
    console.print(summary(results), highlight=False)


def as_json(server: str, results: Sequence[Result]) -> str:
    """The results as one JSON object: `server`, `counts` by outcome, and `results` with each check's fields."""
    body = {"server": server, "counts": _counts(results), "results": [asdict(result) for result in results]}
    return json.dumps(body, ensure_ascii=False, indent=1)


def summary(results: Sequence[Result]) -> str:
    """How many checks ended how, in one line."""
    counts = _counts(results)
    return f"{len(results)} checks: " + ", ".join(f"{number} {outcome}" for outcome, number in counts.items())


def _counts(results: Sequence[Result]) -> dict[str, int]:
    found = Counter(result.outcome for result in results)
    return {outcome: found[outcome] for outcome in ("passed", "failed", "skipped")}


def _cell(result: Result) -> str:
    lines = [escape(result.holds)]
    if result.outcome == "failed":
        lines += [f"[dim]asked:[/] {escape(request)}" for request in result.asked]
        lines += [f"[red]came:[/]  {escape(result.came)}", f"[dim]why:[/]   {escape(result.why)}"]
    elif result.outcome == "skipped":
        lines.append(f"[dim]{escape(result.came)}[/]")
    return "\n".join(lines)
