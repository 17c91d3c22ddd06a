"""The service kept full over HTTP, beside the engine's own full batches on the same chunks, in turn.

    python benchmarks/saturation.py --model base --batch 4 --rounds 3 --json saturation.json

Recordings are WAV files of up to 28 s, one chunk each, which the engine reads at once. The engine alone
is `WhisperEngine.decode` in this process on chunks that are ready, one thread a worker; both run one after
the other in each round, with the same model and options. The service decodes the file, finds speech and
builds features beside its engine; on a CPU that takes the engine's own cores, so the front end alone is
measured as well. With `--cpu-threads 1` on two cores the engine has one and all else the other, as with an
engine on a GPU: then the ratio is what queue and HTTP lose.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import httpx2
import typer

from asr_api.engine.protocol import DecodingTask
from asr_api.settings import Settings
from harness.clips import choose, clips_for, read_clips
from harness.machine import Processors
from harness.metrics import Counters, Served
from harness.native import with_native_threads
from harness.offline import Offline
from harness.process import ServerFailed, ServerProcess, free_port, running
from harness.recordings import Recording, joined
from harness.report import Setting, say, tell, write_json
from harness.steady import keep_full, rate_between
from harness.table import figure, markdown

HEADER = (
    "round",
    "service audio s/s",
    "engine audio s/s",
    "ratio",
    "service CPU s / audio s",
    "engine CPU s / audio s",
    "ratio of CPU s",
    "mean batch",
    "busy workers",
    "others' cores: service",
    "engine",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Chunks a batch at most, users at once, and the batches that are measured in each round."""

    batch: int
    users: int
    batches: int

    @property
    def measured(self) -> int:
        return self.batch * self.batches

    @property
    def answers(self) -> int:
        """Those of the start, those that are measured, and those with less company at the end."""
        return 2 * self.users + self.measured


@dataclass(frozen=True, slots=True)
class Side:
    """Audio seconds a second, processor seconds of that side an audio second, and the cores others took.

    `busy_workers` is how many engine workers were at work on average.
    """

    rate: float
    cpu_per_audio_second: float
    others_cores: float | None
    mean_batch: float | None
    busy_workers: float


@dataclass(frozen=True, slots=True)
class Round:
    service: Side
    engine: Side

    @property
    def ratio(self) -> float:
        return self.service.rate / self.engine.rate

    @property
    def cpu_ratio(self) -> float:
        """What the ratio would be on cores that both keep busy and nobody else uses."""
        return self.engine.cpu_per_audio_second / self.service.cpu_per_audio_second

    def cells(self, name: str) -> list[str]:
        service, engine = self.service, self.engine
        return [
            name,
            figure(service.rate, 1),
            figure(engine.rate, 1),
            figure(self.ratio, 3),
            figure(service.cpu_per_audio_second, 4),
            figure(engine.cpu_per_audio_second, 4),
            figure(self.cpu_ratio, 3),
            figure(service.mean_batch),
            figure(service.busy_workers, 3),
            figure(service.others_cores),
            figure(engine.others_cores),
        ]


def of_service(server: ServerProcess, recordings: Sequence[Recording], plan: Plan) -> Side:
    """The service, from when it is full until the last users leave; the client's time is not the service's."""
    before, processors = Counters.parse(scrape(server.url)), Processors.look()
    clock, server_cpu, client_cpu = time.perf_counter(), server.cpu_seconds(), time.process_time()
    done = asyncio.run(keep_full(server.url, recordings, plan.users, plan.answers))
    elapsed, server_cpu = time.perf_counter() - clock, server.cpu_seconds() - server_cpu
    others = processors.taken_by_others(server_cpu + time.process_time() - client_cpu, elapsed)
    counted = Counters.parse(scrape(server.url)).since(before)
    return Side(
        rate=rate_between(done, plan.users, plan.users + plan.measured),
        cpu_per_audio_second=server_cpu / sum(one.audio_seconds for one in done),
        others_cores=others,
        mean_batch=counted.mean_batch,
        busy_workers=counted.busy_seconds / elapsed,
    )


def of_engine(offline: Offline, work: Sequence[tuple[Recording, DecodingTask]], plan: Plan) -> Side:
    """The same number of the same chunks in full batches; `work` goes round as the service's turn does."""
    turn = [work[number % len(work)] for number in range(plan.users, plan.users + plan.measured)]
    tasks, audio = [task for _, task in turn], sum(recording.seconds for recording, _ in turn)
    batches = [tasks[start : start + plan.batch] for start in range(0, len(tasks), plan.batch)]
    processors, cpu = Processors.look(), time.process_time()
    seconds = offline.full_batches(batches)
    cpu = time.process_time() - cpu
    return Side(
        rate=audio / seconds,
        cpu_per_audio_second=cpu / audio,
        others_cores=processors.taken_by_others(cpu, seconds),
        mean_batch=float(plan.batch),
        busy_workers=float(offline.engine.info.num_workers),
    )


def front_end_cpu(offline: Offline, recordings: Sequence[Recording]) -> float:
    """Processor seconds an audio second from file to features."""
    cpu = time.process_time()
    for recording in recordings:
        offline.task(recording)
    return (time.process_time() - cpu) / sum(recording.seconds for recording in recordings)


def scrape(url: str) -> str:
    return httpx2.get(f"{url}/metrics").raise_for_status().text


def readable(offline: Offline, recordings: Sequence[Recording]) -> list[tuple[Recording, DecodingTask]]:
    """Those that both sides decode once. Raises SystemExit where there is none."""
    work = [(recording, offline.task(recording)) for recording in recordings]
    kept = [(recording, task) for recording, task in work if offline.reads_at_once(task)]
    if not kept:
        raise SystemExit("the model reads none of the recordings at once")
    return kept


def summary(rounds: Sequence[Round], front_end: float) -> str:
    ratios = [each.ratio for each in rounds]
    engine = statistics.median(each.engine.cpu_per_audio_second for each in rounds)
    return (
        f"ratio: median {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}\n"
        f"front end alone: {front_end:.4f} CPU s / audio s; where an engine that keeps all cores busy "
        f"has to share them with it, {engine / (engine + front_end):.3f} is left"
    )


def main(
    model: Annotated[str, typer.Option(help="model to serve")] = "callsign",
    seconds: Annotated[float, typer.Option(help="length of a recording, at most")] = 28.0,
    count: Annotated[int, typer.Option("--recordings", help="recordings to choose from", min=1)] = 12,
    workers: Annotated[int, typer.Option(help="engine calls at once", min=1)] = 1,
    cpu_threads: Annotated[int, typer.Option(help="threads of one engine call; 0: as many as cores")] = 0,
    batch: Annotated[int, typer.Option(help="chunks a batch", min=1)] = 8,
    batches: Annotated[int, typer.Option(help="batches of each round that are measured", min=1)] = 6,
    rounds: Annotated[int, typer.Option(help="turns of both", min=1)] = 3,
    beam_size: Annotated[int, typer.Option(help="beams of the search")] = 5,
    seed: Annotated[int, typer.Option(help="decides what the recordings are made of")] = 1,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """Measure the service under saturation."""
    manifest, choice = clips_for(model)
    clips = [clip for clip in choose(read_clips(manifest), choice) if clip.language == "en"]
    settings = Settings.load({}, model=model, beam_size=beam_size, num_workers=workers, cpu_threads=cpu_threads)
    offline = Offline.load(settings)
    work = readable(offline, joined(clips, seconds, count, seed))
    recordings = [recording for recording, _ in work]
    plan = Plan(batch, 3 * batch * workers, batches)
    port = free_port()
    options = f"--beam-size {beam_size} --num-workers {workers} --cpu-threads {cpu_threads} --max-batch-size {batch}"
    serve = [sys.executable, "-m", "asr_api", "serve", "--model", model, *options.split(), "--port", str(port)]
    tell(f"{len(work)} of {count} recordings, {statistics.fmean(each.seconds for each in recordings):.1f} s on average")
    taken: list[Round] = []
    with running([*serve, "--log-level", "warning"], port) as server:
        served = Served.parse(scrape(server.url))
        for number in range(rounds):
            taken.append(Round(of_service(server, recordings, plan), of_engine(offline, work, plan)))
            tell(f"round {number + 1}: {taken[-1].ratio:.3f}")
    setting = Setting(served, len(work), seed, f"{options}, {plan.users} users")
    say(f"{setting}\n\n{markdown(HEADER, [each.cells(str(n)) for n, each in enumerate(taken, 1)])}")
    say(summary(taken, front_end_cpu(offline, recordings)))
    if json:
        write_json(json, setting, [asdict(each) | {"ratio": each.ratio} for each in taken])


if __name__ == "__main__":
    with_native_threads()
    try:
        typer.run(main)
    except ServerFailed as error:
        sys.exit(str(error))
