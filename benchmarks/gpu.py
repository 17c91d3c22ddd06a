"""Everything about a GPU in one command: the engine's calls and the service under load, in many settings.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --only engine-waves,load-mix --out results/waves
    python benchmarks/gpu.py --rehearse

The models are the bundled one in the shapes of large-v3 and large-v3-turbo, so that nothing is downloaded
and every word can be checked. Each step's Markdown, JSON, log and drawing go into one folder as soon as it
is over, with a summary of all; one that fails is told there, and the others go on. `--rehearse` runs
every kind of step on a CPU with the bundled model itself, to see that it works: its figures mean nothing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from asr_api.engine.abilities import choose_device
from harness.campaign import LARGE, TURBO, Scale, Step, full, rehearsal, steps
from harness.circumstances import Circumstances
from harness.clips import CALLSIGN
from harness.report import say, tell
from harness.results import kept_out
from harness.table import figure, markdown
from harness.widened import WideningFailed, widened

FOLDER = Path(__file__).parent
HEADER = ("step", "seconds", "exit code", "what it said last")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended; `said` is the end of its log where it failed."""

    name: str
    command: str
    seconds: float
    exit_code: int
    said: str

    def cells(self) -> list[str]:
        return [self.name, figure(self.seconds, 1), str(self.exit_code), self.said.replace("|", "/")]


def chosen(scale: Scale, only: str) -> list[Step]:
    """The steps whose names begin as one of `only` does; all where it is empty. Raises SystemExit for none."""
    found = [step for step in steps(scale) if step.name.startswith(tuple(only.split(",")))]
    if not found:
        raise SystemExit(f"no step begins with {only}")
    return found


def take(step: Step, out: Path) -> Outcome:
    """Run a step and keep all that it says."""
    tell(f"{step.name}: {step}")
    command = [sys.executable, str(FOLDER / step.script), *step.options, f"--json={out / step.name}.json"]
    if step.script == "load.py":
        command.append(f"--svg={out / step.name}.svg")
    clock = time.perf_counter()
    with (out / f"{step.name}.md").open("wb") as table, (out / f"{step.name}.log").open("wb") as log:
        done = subprocess.run(command, stdout=table, stderr=log, env=os.environ | step.environ, check=False)
    log_lines = (out / f"{step.name}.log").read_text(encoding="utf-8", errors="replace").split("\n")
    said = next((line for line in reversed(log_lines) if line.strip()), "") if done.returncode else ""
    return Outcome(step.name, str(step), time.perf_counter() - clock, done.returncode, said.strip())


def write_summary(outcomes: Sequence[Outcome], load: str, out: Path) -> str:
    """What was run, so far; into the folder too."""
    circumstances = Circumstances(load)
    text = f"{circumstances}\n\n{markdown(HEADER, [outcome.cells() for outcome in outcomes])}"
    (out / "summary.md").write_text(text, encoding="utf-8")
    circumstances.write_json(out / "summary.json", [asdict(outcome) for outcome in outcomes])
    return text


def scale_for(rehearse: bool, models: Path, python: str) -> Scale:
    """Raises SystemExit where there is no GPU, and WideningFailed."""
    if rehearse:
        return rehearsal(CALLSIGN)
    if choose_device("auto") != "cuda":
        raise SystemExit("CTranslate2 sees no GPU; --rehearse runs every kind of step on the CPU")
    return full({shape: str(widened(shape, models, python)) for shape in (LARGE, TURBO)})


def main(
    rehearse: Annotated[bool, typer.Option(help="every kind of step, scaled down, on the CPU")] = False,
    only: Annotated[str, typer.Option(help="steps by the beginnings of their names, as engine,load-mix")] = "",
    show: Annotated[bool, typer.Option("--list", help="only say which steps there are")] = False,
    widen_python: Annotated[str, typer.Option(help="a Python with torch, for the models' making")] = sys.executable,
    models: Annotated[Path, typer.Option(help="folder of the widened models")] = Path("results/models"),
    out: Annotated[Path, typer.Option(help="folder of the results")] = Path("results/gpu"),
) -> None:
    """Measure all that is to be known of a GPU."""
    if show:
        scale = rehearsal(CALLSIGN) if rehearse else full({LARGE: LARGE, TURBO: TURBO})
        say("\n".join(f"{step.name}: {step}" for step in chosen(scale, only)))
        return
    outcomes: list[Outcome] = []
    for step in chosen(scale_for(rehearse, models, widen_python), only):
        outcomes.append(take(step, kept_out(out)))
        summary = write_summary(outcomes, "rehearsal" if rehearse else "all steps", out)
    say(summary)
    if failed := [outcome.name for outcome in outcomes if outcome.exit_code]:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except WideningFailed as error:
        sys.exit(str(error))
