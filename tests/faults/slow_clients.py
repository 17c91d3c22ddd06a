"""Thousands of connections that do next to nothing: who asks properly must not notice."""

import itertools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.harness.clips import CALLSIGN, clips_for, read_clips
from benchmarks.harness.figures import percentiles
from benchmarks.harness.table import figure, markdown

from tests.faults.ledger import Ledger, Verdict, moved
from tests.faults.server import Server
from tests.faults.siege import Besieged, Siege, besiege
from tests.faults.volley import Plan, Shot, Sound, Volley, fire, own_process, raise_descriptors
from tests.faults.watching import MEGABYTE, Watch


@dataclass(frozen=True, slots=True)
class Patience:
    """The service's limits, in seconds: each connection that ends at one is made anew at once."""

    header_timeout: float
    upload_timeout: float


LATE = 1.5
"""Seconds beyond a limit: bytes are a second apart, and the clients yield to the server."""

WARM_UP = 10
MAX_SLOWDOWN = 2.0
MAX_BYTES = 32 * 1024
"""Bytes of memory for each connection, on average: buffers are bounded by HIGH_WATER of uvicorn, 64 KiB."""

UNSTEADY = 64 << 20
"""Bytes by which the engine's memory comes and goes with the batches that it happens to be given."""

HEADER = (
    "good requests",
    "count",
    "200",
    "503",
    "p50, ms",
    "p99, ms",
    "service CPU, cores",
    "others' CPU",
    "most memory, MB",
)


def slow_clients(
    *,
    seed: int,
    requests: int,
    crawlers: int,
    bodies: int,
    idlers: int,
    seconds: int,
    header_timeout: float = 2.0,
    upload_timeout: float = 4.0,
    strict: bool = False,
    **settings: object,
) -> Verdict:
    """So many good requests, one after the other, without the others and then among them, for as long as these stay.

    Findings are connections that were not closed, answers that may not be, memory and the ledger;
    where `strict`, also latencies, and connections that were closed late. The seed decides nothing.
    """
    raise_descriptors()
    patience = Patience(header_timeout, upload_timeout)
    chosen = asdict(patience) | {"keep_alive_timeout": 600}
    with Server(None, **(chosen | settings)) as server:
        good = Plan(*server.address, _sounds(), 600.0, requests=requests)
        fire(replace(good, requests=WARM_UP))
        ledger = Ledger.of(server)
        siege = Siege(*server.address, seconds, min(10.0, seconds / 8), crawlers, bodies, idlers)
        with Watch(server) as calm:
            before = fire(good)
        with Watch(server) as watch:
            within, came = _besieged(siege, good)
        for seen in itertools.chain((shot.seen for shot in (*before.shots, *within.shots)), came.seen):
            ledger.note(seen)
        ledger.close(server, upload_timeout + LATE)
        closed = moved(ledger.before, server.metrics(), "reason", "asr_connections_closed_total")
    missed = [*_misses(before, within), *_late(came, patience)]
    rows = [_row("alone", before, calm), _row("besieged", within, watch)]
    text = (
        markdown(HEADER, rows)
        + _told(came, patience)
        + f"  asr_connections_closed_total: {_listed(closed)}\n"
        + ledger.table()
    )
    text += "".join(f"  missed: {miss}\n" for miss in missed)
    findings = (*ledger.findings, *_faults(came, closed, siege), *_growth(calm, watch, siege))
    return Verdict(text, (*findings, *(missed if strict else ())))


def _sounds() -> list[Sound]:
    manifest, _ = clips_for(CALLSIGN)
    return [Sound(clip.path.read_bytes(), clip.seconds) for clip in read_clips(manifest)]


def _besieged(siege: Siege, good: Plan) -> tuple[Volley, Besieged]:
    """The good requests begin when all others are there, and end before these do."""
    with own_process() as own:
        besieged = own.submit(besiege, siege)
        time.sleep(2 * siege.ramp)
        within = fire(replace(good, requests=None, seconds=siege.seconds - 3 * siege.ramp))
        return within, besieged.result()


def _row(name: str, fired: Volley, watch: Watch) -> list[str]:
    times = _times(fired.shots)
    return [
        name,
        f"{len(fired.shots)}",
        f"{len(times)}",
        f"{sum(shot.status == 503 for shot in fired.shots)}",
        *(figure(None if value is None else 1_000 * value, 1) for value in percentiles(times, (50, 99))),
        figure(watch.cpu_seconds / watch.seconds),
        figure(watch.others_cores),
        f"{watch.most / MEGABYTE:.0f}",
    ]


def _times(shots: Sequence[Shot]) -> list[float]:
    return [shot.seconds for shot in shots if shot.status == 200]


def _told(came: Besieged, patience: Patience) -> str:
    statuses = Counter(str(trickle.status) for trickle in came.trickles)
    ended = [trickle.seconds for trickle in came.trickles]
    return (
        f"  heads: {len(came.crawls)} closed after {_span(came.crawls)} s (limit {patience.header_timeout:g})\n"
        f"  bodies: {_listed(statuses)}; ended after {_span(ended)} s (limit {patience.upload_timeout:g})\n"
        f"  idle: {came.idle_at_end} kept to the end, {came.idle_lost} lost; asked: {_listed(came.answered)}\n"
        f"  {came.connections} connections, clients' CPU {came.cpu_seconds:.1f} s; faults: {dict(came.faults)}\n"
    )


def _span(seconds: Sequence[float]) -> str:
    return f"{min(seconds):.2f} to {max(seconds):.2f}" if seconds else "-"


def _listed(counts: Mapping[Any, float]) -> str:
    return ", ".join(f"{name} {count:g}" for name, count in sorted(counts.items()) if count)


def _faults(came: Besieged, closed: Mapping[str, float], siege: Siege) -> list[str]:
    """What was not closed, or closed although it may stay."""
    found = [f"{fault}: {count} times" for fault, count in came.faults.items()]
    if wrong := sum(trickle.status not in (408, 503) for trickle in came.trickles):
        found.append(f"{wrong} slow bodies had neither 408 nor 503")
    if len(came.crawls) < siege.crawlers or closed.get("header_timeout", 0) != len(came.crawls):
        found.append(f"{len(came.crawls)} heads were cut off, the metric has {closed.get('header_timeout', 0):g}")
    return [*found, *([f"{came.idle_lost} idle connections were closed"] if came.idle_lost else [])]


def _late(came: Besieged, patience: Patience) -> list[str]:
    """What was closed, but not in time."""
    found = []
    if late := sum(seconds > patience.header_timeout + LATE for seconds in came.crawls):
        found.append(f"{late} heads were read for longer than {patience.header_timeout + LATE:g} s")
    if late := sum(trickle.seconds > patience.upload_timeout + LATE for trickle in came.trickles):
        found.append(f"{late} bodies were read for longer than {patience.upload_timeout + LATE:g} s")
    return found


def _growth(calm: Watch, watch: Watch, siege: Siege) -> list[str]:
    growth = max(0, watch.most - calm.most - UNSTEADY) / (siege.crawlers + siege.bodies + siege.idlers)
    return [f"memory grew by {growth / 1024:.0f} KB a connection"] if growth > MAX_BYTES else []


def _misses(before: Volley, within: Volley) -> list[str]:
    (alone,), (among,) = (percentiles(_times(fired.shots), (99,)) for fired in (before, within))
    refused = sum(shot.status != 200 for shot in within.shots)
    misses = [f"{refused} of {len(within.shots)} good requests were not answered"] if refused else []
    if alone and among and among > MAX_SLOWDOWN * alone:
        misses.append(f"the 99th percentile of good requests is {among / alone:.1f} times that without")
    return misses
