"""Very many mutants on all cores, those that misbehaved a second time alone, and what came of it."""

import asyncio
import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial

from tests.fuzz.mutants import Nursery
from tests.fuzz.seeds import seeds
from tests.fuzz.trials import MOST_BYTES, Portion, Trial, trials

PORTION = 5_000
"""Mutants that one worker sees. What it keeps of each adds up, and must stay within what one may take."""

MOST_RETRIALS = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """A mutant that did what none may do."""

    number: int
    fault: str


@dataclass(slots=True)
class Outcome:
    """All trials, and the findings that stood when they were looked at again."""

    trials: list[Trial] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    passing: list[Finding] = field(default_factory=list)
    seconds: float = 0.0


def campaign(numbers: range, *, lanes: int, seconds: float, tell: Callable[[str], object] = lambda _: None) -> Outcome:
    """Try the mutants with these numbers, as many as the time allows, with a worker and a driver for each lane."""
    outcome, begin = Outcome(), time.monotonic()
    run = partial(_run_portion, end=begin + seconds)
    with ProcessPoolExecutor(lanes, multiprocessing.get_context("spawn")) as executor:
        for done in as_completed([executor.submit(run, part) for part in _portions(numbers, lanes)]):
            portion = done.result()
            outcome.trials += portion.trials
            if portion.held > MOST_BYTES:
                fault = f"its worker held {portion.held >> 20} MB more after {len(portion.trials)} mutants"
                outcome.findings.append(Finding(portion.trials[-1].number, fault))
            tell(f"{len(outcome.trials)} mutants, {time.monotonic() - begin:.0f} s\n")
    outcome.seconds = time.monotonic() - begin
    _look_again(outcome)
    return outcome


def _portions(numbers: range, lanes: int) -> Iterator[range]:
    """Parts of equal length, at least one a lane."""
    count = max(lanes, -(-len(numbers) // PORTION))
    size = -(-len(numbers) // count)
    yield from (numbers[start : start + size] for start in range(0, len(numbers), size))


def _run_portion(numbers: Sequence[int], end: float) -> Portion:
    if time.monotonic() > end:
        return Portion([], 0)
    logging.disable(logging.WARNING)  # a lost worker is told of as a finding
    whole = seeds()
    nursery = Nursery(whole)
    return asyncio.run(trials(map(nursery.mutant, numbers), whole.values(), end))


def _look_again(outcome: Outcome) -> None:
    """What a busy machine or the mutants before have done is no finding; a lost worker always is."""
    suspects = [trial for trial in outcome.trials if trial.faults]
    for suspect in suspects[:MOST_RETRIALS]:
        again = _run_portion([suspect.number], float("inf")).trials[0]
        stands = again.faults or suspect.lost
        where = outcome.findings if stands else outcome.passing
        where.append(Finding(suspect.number, ", ".join(again.faults or suspect.faults)))
    outcome.findings += [Finding(suspect.number, ", ".join(suspect.faults)) for suspect in suspects[MOST_RETRIALS:]]
