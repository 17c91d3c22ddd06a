"""`python -m tests.fuzz`: 100,000 mutants through the decode workers, and 2,000 over HTTP."""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.fuzz.campaign import Finding, campaign
from tests.fuzz.mutants import Nursery
from tests.fuzz.over_http import post
from tests.fuzz.report import report
from tests.fuzz.seeds import seeds

SHOWN = 20
"""Findings over HTTP that are printed; `--keep` has all."""


def main() -> int:
    """Exit code 1 where a mutant did what none may do."""
    options = _arguments()
    numbers = range(options.first, options.first + options.count)
    outcome = campaign(numbers, lanes=options.lanes, seconds=options.seconds, tell=sys.stderr.write)
    nursery = Nursery(seeds())
    if outcome.trials:
        sys.stdout.write(report(outcome))
    findings = outcome.findings
    if options.http:
        answers = post(map(nursery.mutant, numbers[-options.http :]))
        findings += answers.findings
        sys.stdout.write(f"over HTTP: {answers.statuses}, {len(answers.findings)} findings\n")
        sys.stdout.writelines(f"mutant {found.number}: {found.fault}\n" for found in answers.findings[:SHOWN])
    if options.keep:
        keep(findings, nursery, options.keep)
    return 1 if findings else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="mutants")
    parser.add_argument("--first", type=int, default=0, help="the number of the first; each is the same every time")
    parser.add_argument(
        "--http", type=int, default=2_000, help="how many, the last of them, are posted to a server too"
    )
    parser.add_argument("--lanes", type=int, default=min(2, os.cpu_count() or 1), help="workers")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="when to stop, without HTTP")
    parser.add_argument("--keep", type=Path, help="a folder for the mutants that were found")
    return parser.parse_args()


def keep(findings: Iterable[Finding], nursery: Nursery, folder: Path) -> None:
    """Write each mutant beside a text that says what it was and what it did."""
    folder.mkdir(parents=True, exist_ok=True)
    for found in findings:
        if found.number >= 0:
            mutant = nursery.mutant(found.number)
            (folder / f"{found.number}.{mutant.seed}").write_bytes(mutant.data)
            text = f"{found.fault}\n{mutant.steps}\n{mutant.options}\n"
            (folder / f"{found.number}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
