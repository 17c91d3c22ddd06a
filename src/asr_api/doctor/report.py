"""Findings for a terminal, for a pipe, and for programs."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from asr_api.doctor.finding import Finding, worst

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failure": ("✗", "bold red")}

WIDTH = 15
"""Columns of a check's name."""


def write_report(findings: Iterable[Finding], output: TextIO) -> list[Finding]:
    """Write each finding as it comes, with its advice under it, and a sum; returns them all."""
    console = Console(file=output, markup=False, highlight=False, emoji=False)
    told = []
    for finding in findings:
        told.append(finding)
        if console.is_terminal:
            console.print(_row(finding))
        else:
            output.writelines(f"{line}\n" for line in plain_lines(finding))
    console.print(summary(told), style="bold")
    return told


def plain_lines(finding: Finding) -> Iterator[str]:
    """`failure  spool           ...`, one line however long it is; advice has a line of its own."""
    yield f"{finding.status:8} {finding.check:{WIDTH}} {finding.fact}"
    if finding.advice:
        yield f"{'':8} {'':{WIDTH}} -> {finding.advice}"


def summary(findings: Iterable[Finding]) -> str:
    found = [finding.status for finding in findings]
    failures, warnings = found.count("failure"), found.count("warning")
    if not failures and not warnings:
        return "all is well"
    told = f"{_counted(failures, 'failure')}, {_counted(warnings, 'warning')}"
    return f"{told}: it cannot serve so" if failures else told


def json_report(findings: Iterable[Finding]) -> str:
    """`{"status": "ok" | "warning" | "failure", "findings": [{"check", "status", "fact", "advice"}]}`."""
    listed = list(findings)
    return json.dumps({"status": worst(listed), "findings": [asdict(one) for one in listed]}, indent=1) + "\n"


def _row(finding: Finding) -> Padding:
    mark, style = MARKS[finding.status]
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(width=WIDTH)
    table.add_column(overflow="fold")
    table.add_row(Text(mark, style), Text(finding.check), Text(finding.fact))
    if finding.advice:
        table.add_row("", "", Text(f"→ {finding.advice}", style))
    return Padding(table, (0, 0, 0, 1))


def _counted(count: int, noun: str) -> str:
    return f"no {noun}" if not count else f"{count} {noun}{'' if count == 1 else 's'}"
