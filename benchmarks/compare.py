"""The service beside faster-whisper in a plain FastAPI app: same weights, clips, machine, compute type and beams.

    python benchmarks/compare.py --concurrency 16,1 --rounds 3 --json compare.json
    python benchmarks/compare.py --rival "theirs=http://127.0.0.1:9000" --rival-model whisper-1
    python benchmarks/compare.py --rival "theirs=python server.py --port {port}"

The servers, each a process of its own, take turns; another goes first in each round. Any that speaks OpenAI's
API may join, by its address or by the command line that starts it; which weights it has is for you to see to.
"""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from asr_api import __version__
from asr_api.engine.abilities import available_cores, choose_compute_type, choose_device
from harness.clips import choose, clips_for, draw, read_clips
from harness.contenders import PORT, Contender
from harness.contest import SPOKEN, Row, conclude, play, servers
from harness.folder import folder_of
from harness.metrics import Served
from harness.process import ServerFailed
from harness.report import Setting

OURS = "asr-api"
BASELINE = "batched pipeline, a call a request"
SEQUENTIAL = "sequential"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is the same for the three that are always there."""

    model: str
    folder: Path
    device: str
    compute_type: str
    beam_size: int
    cpu_threads: int

    def contenders(self) -> list[Contender]:
        """The service, and the two plain servers."""
        ours = ("-m", "asr_api", "serve", "--model", self.model)
        script = str(Path(__file__).with_name("rival.py"))
        plain = {BASELINE: "batched", SEQUENTIAL: "sequential"}
        programs = {OURS: ours} | {name: (script, str(self.folder), "--style", how) for name, how in plain.items()}
        return [
            Contender(name, command=(sys.executable, *program, "--port", PORT, *self._options()))
            for name, program in programs.items()
        ]

    def _options(self) -> Iterator[str]:
        for option in ("device", "compute_type", "beam_size", "cpu_threads"):
            yield f"--{option.replace('_', '-')}"
            yield str(getattr(self, option))


def conditions_for(model: str, device: str, compute_type: str, beam_size: int) -> Conditions:
    """The same folder, device and compute type for all, found as the service finds them."""
    device = choose_device(device)
    return Conditions(
        model, folder_of(model), device, choose_compute_type(compute_type, device), beam_size, available_cores()
    )


def main(
    model: Annotated[str, typer.Option(help="model for all three")] = "base",
    device: Annotated[str, typer.Option(help="auto, cuda or cpu")] = "auto",
    compute_type: Annotated[str, typer.Option(help="CTranslate2's, for all three")] = "auto",
    beam_size: Annotated[int, typer.Option(help="beams, for all three")] = 5,
    clips: Annotated[Path | None, typer.Option(help="manifest of the clips; default: by model")] = None,
    count: Annotated[int, typer.Option(help="clips of each round", min=1)] = 16,
    concurrency: Annotated[str, typer.Option(help="users at once, one run each")] = "16,1",
    rounds: Annotated[int, typer.Option(help="rounds at each concurrency", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="decides which clips, and their order")] = 1,
    rival: Annotated[list[str] | None, typer.Option(help="another: NAME=URL, or NAME=COMMAND with {port}")] = None,
    rival_model: Annotated[str, typer.Option(help="the model that rivals are asked for")] = "whisper-1",
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """Measure the service and two plain servers on faster-whisper side by side."""
    rivals = [Contender.parse(text, rival_model) for text in rival or ()]
    conditions = conditions_for(model, device, compute_type, beam_size)
    drawn = draw(choose(read_clips(clips or clips_for(model)[0]), SPOKEN), count, seed)
    rows: list[Row] = []
    with servers([*conditions.contenders(), *rivals]) as started:
        for server in started:
            asyncio.run(server.warm_up(drawn[0]))
        for users in concurrency.split(","):
            rows += play(started, drawn, int(users), rounds, BASELINE)
    served = Served(__version__, model, conditions.device, conditions.compute_type)
    setting = Setting(served, len(drawn), seed, f"{beam_size} beams, {rounds} rounds")
    conclude(setting, rows, json)


if __name__ == "__main__":
    try:
        typer.run(main)
    except (ServerFailed, ValueError) as error:
        sys.exit(str(error))
