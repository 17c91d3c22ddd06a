"""Ten times what the service can do, for a minute: it must do as much as ever, and refuse the rest at once.

The service has all cores but one, and who asks has that one: the load must not be made at the cost of what it loads.
"""

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from benchmarks.harness.clips import CALLSIGN, Choice, choose, clips_for, read_clips
from benchmarks.harness.figures import percentiles
from benchmarks.harness.steady import Done, rate_between
from benchmarks.harness.table import figure, markdown

from tests.faults.ledger import Ledger, Verdict
from tests.faults.processes import on_a_core_of_its_own
from tests.faults.server import Server
from tests.faults.volley import Plan, Shot, Sound, Volley, volley
from tests.faults.watching import MEGABYTE, Watch

PLACES = 32
"""Requests in progress at most: four full batches of the engine."""

BATCH = 8
"""Chunks of an engine call at most on a CPU."""

LENGTHS = Choice(4.0, 10.0, ("en", "ru"))
"""What is said: the longest of the bundled recordings, up to 4.7 s, or prompts that fill one audio context."""

ENOUGH_GOODPUT = 0.95
MAX_REFUSAL_SECONDS = 0.05
MAX_GROWTH = 50 * MEGABYTE
HEADER = (
    "load",
    "offered/s",
    "200",
    "503",
    "goodput, audio s/s",
    "p50 of 200, s",
    "p99 of 200, s",
    "p99 of 503, ms",
    "by the server, ms",
    "engine busy",
    "mean batch",
    "service CPU, cores",
    "clients' CPU",
    "others' CPU",
    "most memory, MB",
)


@dataclass(slots=True)
class Phase:
    """One load, with what the server cost meanwhile; `ramp` seconds at its start are not measured."""

    name: str
    volley: Volley
    watch: Watch
    ramp: float
    server_seconds: list[float] = field(default_factory=list)
    """What the log says that refusals took."""

    def of(self, status: int) -> list[Shot]:
        return [shot for shot in self.volley.shots if shot.status == status]

    @property
    def goodput(self) -> float:
        """Seconds of audio that were answered a second, over whole batches."""
        done = [Done(shot.ended - self.volley.began, shot.audio) for shot in self.of(200)]
        first = max(1, sum(one.moment < self.ramp for one in done))
        last = first + (len(done) - first) // BATCH * BATCH
        return rate_between(done, first, last) if last > first else 0.0

    @property
    def rate(self) -> float:
        """Requests that were answered with 200 a second, at the same goodput."""
        good = self.of(200)
        return self.goodput * len(good) / sum(shot.audio for shot in good) if good else 0.0

    @property
    def refusal_p99(self) -> float:
        return _percentile([shot.ended - shot.sent for shot in self.of(503)], 99) or 0.0

    def cells(self) -> list[str]:
        good = [shot.ended - shot.sent for shot in self.of(200)]
        watch, fired = self.watch, self.volley
        thousand = [1_000 * seconds for seconds in self.server_seconds]
        return [
            self.name,
            figure(len(fired.shots) / (fired.ended - fired.began), 1),
            f"{len(good)}",
            f"{len(self.of(503))}",
            figure(self.goodput, 1),
            figure(_percentile(good, 50)),
            figure(_percentile(good, 99)),
            figure(1_000 * self.refusal_p99, 1),
            figure(_percentile(thousand, 99), 1),
            figure(watch.busy),
            figure(watch.mean_batch),
            figure(watch.cpu_seconds / watch.seconds),
            figure(fired.cpu_seconds / (fired.ended - fired.began)),
            figure(watch.others_cores),
            f"{watch.most / MEGABYTE:.0f}",
        ]


def overload(
    *,
    seed: int,
    seconds: int,
    times: int,
    places: int = PLACES,
    model: str = CALLSIGN,
    strict: bool = False,
    most: int = MAX_GROWTH,
) -> Verdict:
    """Measure what the service can do, for half as long ask `times` as much for `seconds`, and measure again.

    Where the engine computes on the cores that refuse, the cheaper the model, the more refusals there are for
    each answer, and the more of the engine they take: the bundled model is the hardest of all.

    Findings are answers that may not be, memory that grows by more than `most` bytes, and whatever of the
    ledger is open; where `strict`, also goodput and the time of refusals, which a machine that others use spoils.
    """
    ramp = min(5.0, seconds / 6)
    server = Server(model=model, max_concurrent_requests=places)
    with on_a_core_of_its_own() as server.cores, server:
        ledger = Ledger.of(server)
        calm = Plan(*server.address, _sounds(model), seconds / 2 + ramp, users=places)
        before = _phase("capacity, before", server, calm, ramp)
        much = replace(calm, seconds=seconds, rate=times * before.rate, seed=seed)
        phases = (
            before,
            _phase(f"{times:g} times that", server, much, ramp),
            _phase("capacity, after", server, calm, ramp),
        )
        for shot in itertools.chain.from_iterable(phase.volley.shots for phase in phases):
            ledger.note(shot.seen)
        ledger.close(server)
    _read_log(phases[1], ledger)
    missed = _misses(*phases)
    findings = [*ledger.findings, *_faults(phases[1].volley.shots), *_growth(*phases[:2], most)]
    text = markdown(HEADER, [phase.cells() for phase in phases]) + ledger.table()
    text += f"  goodput {_share(*phases):.1%} of the capacity\n" + "".join(f"  missed: {miss}\n" for miss in missed)
    return Verdict(text, (*findings, *(missed if strict else ())))


def _sounds(model: str) -> list[Sound]:
    manifest, _ = clips_for(model)
    return [Sound(clip.path.read_bytes(), clip.seconds) for clip in choose(read_clips(manifest), LENGTHS)]


def _phase(name: str, server: Server, plan: Plan, ramp: float) -> Phase:
    with Watch(server) as watch:
        fired = volley(plan)
    return Phase(name, fired, watch, ramp)


def _read_log(phase: Phase, ledger: Ledger) -> None:
    refused = {shot.id for shot in phase.of(503)}
    phase.server_seconds += [line["seconds"] for line in ledger.lines if line["id"] in refused]


def _faults(shots: Sequence[Shot]) -> list[str]:
    """Answers that are neither right nor a whole refusal, by what is wrong with them."""
    wrong = Counter(fault for shot in shots if (fault := _fault(shot)))
    return [f"{count} answers: {fault}" for fault, count in wrong.items()]


def _fault(shot: Shot) -> str:
    if shot.status == 200:
        return ""
    if shot.status != 503:
        return f"status {shot.status} {shot.fault}"
    if not (shot.retry_after.isdecimal() and 1 <= int(shot.retry_after) <= 120):
        return f"503 with Retry-After {shot.retry_after!r}"
    code = json.loads(shot.body)["error"]["code"]
    return "" if code == "queue_full" else f"503 with code {code}"


def _growth(calm: Phase, much: Phase, most: int) -> list[str]:
    """An engine call takes memory and gives it back: what counts is what is taken at most."""
    growth = much.watch.most - calm.watch.most
    return [f"memory grew by {growth / MEGABYTE:.0f} MB"] if growth > most else []


def _share(before: Phase, much: Phase, after: Phase) -> float:
    """Goodput under overload as a share of the better of both capacities: others who use the machine spoil each."""
    return much.goodput / (max(before.goodput, after.goodput) or 1.0)


def _misses(before: Phase, much: Phase, after: Phase) -> list[str]:
    share = _share(before, much, after)
    misses = [] if share >= ENOUGH_GOODPUT else [f"goodput is {share:.1%} of the capacity, not {ENOUGH_GOODPUT:.0%}"]
    if much.refusal_p99 > MAX_REFUSAL_SECONDS:
        misses.append(f"the 99th percentile of refusals is {1_000 * much.refusal_p99:.0f} ms")
    return misses


def _percentile(values: Sequence[float], rank: float) -> float | None:
    return percentiles(values, (rank,))[0]
