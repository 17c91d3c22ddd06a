"""What the service adds to a lone clip, by stage: HTTP on loopback, one request at a time.

    python benchmarks/overhead.py --model callsign --requests 200 --json overhead.json

Added is the end-to-end time less the engine's own share of that very request, as the answer's
Server-Timing has it (under uvloop in whole milliseconds). Beside it stand the same steps, alone, in
this process, taken in turn with the requests.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import httpx2
import typer

from asr_api.settings import Settings
from harness.clips import choose, clips_for, read_clips
from harness.figures import percentiles
from harness.lone import STAGES, Timed, calling
from harness.machine import Processors
from harness.metrics import Served
from harness.native import with_native_threads
from harness.offline import Offline, Steps
from harness.process import ServerFailed, free_port, running
from harness.recordings import Recording, joined
from harness.report import Setting, say, tell, write_json
from harness.table import figure, markdown

HEADER = ("ms", "p50", "p95", "p99")
WARM_UP = 10


@dataclass(frozen=True, slots=True)
class Row:
    """The percentiles of one share of the time, in seconds."""

    share: str
    p50: float | None
    p95: float | None
    p99: float | None

    @classmethod
    def of(cls, share: str, seconds: Sequence[float]) -> "Row":
        return cls(share, *percentiles(seconds, (50, 95, 99)))

    def cells(self) -> list[str]:
        shares = (self.p50, self.p95, self.p99)
        return [self.share, *(figure(None if share is None else 1000 * share) for share in shares)]


@dataclass(slots=True)
class Samples:
    """What was measured: requests, the steps alone, and the cores that others took."""

    requests: list[Timed]
    steps: list[Steps]
    others_cores: float | None

    def rows(self) -> list[Row]:
        stages = [Row.of(f"  {stage}", [each.stages.get(stage, 0.0) for each in self.requests]) for stage in STAGES]
        return [
            Row.of("end to end", [each.seconds for each in self.requests]),
            *stages,
            Row.of("  rest: HTTP, features, event loop", [each.rest for each in self.requests]),
            Row.of("added: end to end less inference", [each.added for each in self.requests]),
            Row.of("alone: file to samples", [each.decode_audio for each in self.steps]),
            Row.of("alone: find speech", [each.find_speech for each in self.steps]),
            Row.of("alone: features", [each.features for each in self.steps]),
            Row.of("alone: engine", [each.engine for each in self.steps]),
            Row.of(
                "added less the front end alone",
                [each.added - step.front_end for each, step in zip(self.requests, self.steps, strict=True)],
            ),
        ]


def measure(port: int, pid_cpu: Callable[[], float], offline: Offline, recording: Recording, count: int) -> Samples:
    """Requests and the same steps alone, in turn."""
    samples = Samples([], [], None)
    with calling(port, recording) as caller:
        for _ in range(WARM_UP):
            caller.call()
            offline.steps(recording)
        processors, clock, own = Processors.look(), time.perf_counter(), pid_cpu() + time.process_time()
        for _ in range(count):
            samples.requests.append(caller.call())
            samples.steps.append(offline.steps(recording))
        own = pid_cpu() + time.process_time() - own
        samples.others_cores = processors.taken_by_others(own, time.perf_counter() - clock)
    return samples


def main(
    model: Annotated[str, typer.Option(help="model to serve")] = "callsign",
    seconds: Annotated[float, typer.Option(help="length of the clip, at most")] = 5.0,
    requests: Annotated[int, typer.Option(help="requests, one after another", min=1)] = 200,
    beam_size: Annotated[int, typer.Option(help="beams of the search")] = 5,
    seed: Annotated[int, typer.Option(help="decides what the clip is made of")] = 1,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """Measure what the service adds to a lone clip."""
    manifest, choice = clips_for(model)
    clips = choose(read_clips(manifest), choice)
    offline = Offline.load(Settings.load({}, model=model, beam_size=beam_size))
    candidates = joined(clips, seconds, 10, seed)
    recording = max(
        (each for each in candidates if offline.reads_at_once(offline.task(each))), key=lambda each: each.seconds
    )
    port = free_port()
    serve = ["--model", model, "--port", str(port), "--beam-size", str(beam_size), "--log-level", "warning"]
    tell(f"a clip of {recording.seconds:.2f} s, {requests} times")
    with running([sys.executable, "-m", "asr_api", "serve", *serve], port) as server:
        served = Served.parse(httpx2.get(f"{server.url}/metrics").raise_for_status().text)
        samples = measure(port, server.cpu_seconds, offline, recording, requests)
    setting = Setting(served, 1, seed, f"{recording.seconds:.2f} s, {requests} requests, beam {beam_size}")
    rows = samples.rows()
    say(f"{setting}; others took {figure(samples.others_cores)} cores\n")
    say(markdown(HEADER, [row.cells() for row in rows]))
    if json:
        write_json(json, setting, [asdict(row) | {"others_cores": samples.others_cores} for row in rows])


if __name__ == "__main__":
    with_native_threads()
    try:
        typer.run(main)
    except ServerFailed as error:
        sys.exit(str(error))
