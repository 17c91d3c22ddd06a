"""What a campaign found, as a table."""

from collections import Counter
from collections.abc import Sequence

from tests.fuzz.campaign import Outcome
from tests.fuzz.trials import Trial

COLUMNS = ("seed", "mutants", "decoded", "refused", "slowest, CPU ms", "most memory, MB")


def table(trials: Sequence[Trial]) -> str:
    """A line for each seed, then the codes of the refusals."""
    names = list(dict.fromkeys(trial.seed for trial in sorted(trials, key=lambda trial: trial.number)))
    rows = [_row(name, [trial for trial in trials if trial.seed == name]) for name in names]
    lines = [COLUMNS, *rows, _row("all", trials)]
    return "".join(
        "  ".join(cell.rjust(len(column)) for cell, column in zip(line, COLUMNS, strict=True)) + "\n" for line in lines
    )


def _row(name: str, trials: Sequence[Trial]) -> Sequence[str]:
    decoded = sum(trial.ending == "decoded" for trial in trials)
    slowest, largest = max(trial.cpu for trial in trials), max(trial.memory for trial in trials)
    numbers = (len(trials), decoded, len(trials) - decoded, round(1_000 * slowest), round(largest / (1 << 20)))
    return (name, *map(str, numbers))


def refusals(trials: Sequence[Trial]) -> str:
    """How often each seed's mutants were refused, by the code."""
    counts = Counter((trial.seed, trial.ending) for trial in trials if trial.ending != "decoded")
    names = sorted({seed for seed, _ in counts})
    return "".join(
        f"{name}: "
        + ", ".join(f"{code} {count}" for (seed, code), count in counts.most_common() if seed == name)
        + "\n"
        for name in names
    )


def report(outcome: Outcome) -> str:
    """The tables, then the findings with the numbers by which they are made again."""
    count = len(outcome.trials)
    lines = [table(outcome.trials), refusals(outcome.trials)]
    lines.append(f"{count} mutants in {outcome.seconds:.0f} s: {count / outcome.seconds:.0f} a second\n")
    lines += [f"mutant {found.number}: {found.fault}; not again alone\n" for found in outcome.passing]
    lines += [f"mutant {found.number}: {found.fault}\n" for found in outcome.findings]
    lines.append(f"{len(outcome.findings)} findings\n")
    return "\n".join(lines[:2]) + "\n" + "".join(lines[2:])
