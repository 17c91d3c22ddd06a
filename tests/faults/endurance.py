"""Ten thousand requests, one after the other: what the service holds must not grow with them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from benchmarks.harness.clips import CALLSIGN, clips_for, read_clips
from benchmarks.harness.table import figure, markdown

from tests.faults.ledger import Ledger, Verdict
from tests.faults.server import Server, usage_of
from tests.faults.volley import Plan, Sound, fire
from tests.faults.watching import MEGABYTE

USERS = 8
LONGEST = 2.3
"""Seconds of a clip: the shortest of the bundled recordings."""

LOOKS = 20
"""How often is looked, each time when nothing is under way."""

MAX_GROWTH = 10 * MEGABYTE
MAX_SLOPE = 512.0
"""Bytes of memory that a request may leave behind."""

JUDGED = 5_000
"""Requests from which on growth is judged: before that, allocators settle."""

MAX_SETTLING = 200 * MEGABYTE
"""What an engine whose threads see their first batches may still take."""

HEADER = ("requests", "service, MB", "engine, MB", "workers, MB", "all, MB", "descriptors", "threads", "tasks")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the processes hold after so many requests: bytes by kind, descriptors by kind, all threads, and tasks."""

    requests: int
    service: int
    engine: int
    workers: int
    descriptors: int
    of_engine: int
    of_workers: int
    threads: int
    tasks: int

    @classmethod
    def of(cls, server: Server, requests: int) -> Self:
        """Call when nothing is under way."""
        service = server.usage()
        engines = [usage_of(pid) for pid in server.engine_pids()]
        workers = [usage_of(pid) for pid in server.worker_pids()]
        return cls(
            requests,
            service.rss,
            sum(one.rss for one in engines),
            sum(one.rss for one in workers),
            service.descriptors,
            sum(one.descriptors for one in engines),
            sum(one.descriptors for one in workers),
            service.threads + sum(one.threads for one in (*engines, *workers)),
            round(server.metrics().total("asr_event_loop_tasks")),
        )

    @property
    def memory(self) -> int:
        return self.service + self.engine + self.workers

    def cells(self) -> list[str]:
        sizes = (self.service, self.engine, self.workers, self.memory)
        counts = (f"{self.descriptors} + {self.of_engine} + {self.of_workers}", f"{self.threads}", f"{self.tasks}")
        return [f"{self.requests}", *(figure(size / MEGABYTE, 1) for size in sizes), *counts]


def endurance(*, seed: int, count: int, warm_up: int, **settings: object) -> Verdict:
    """Look at what the service holds after `warm_up` requests, and while `count` more are answered.

    Findings are memory that grows, descriptors or threads that are more at the end, and the ledger.
    The seed decides nothing: clips are sent in turn.
    """
    with Server(None, **({"beam_size": 1} | settings)) as server:
        ledger = Ledger.of(server, "endurance")
        plan = Plan(*server.address, short_sounds(), float("inf"), users=USERS)
        looks = [_look(server, ledger, plan, warm_up)]
        for _ in range(min(LOOKS, count // USERS)):
            looks.append(_look(server, ledger, plan, max(USERS, count // LOOKS), looks[-1].requests))
        ledger.close(server)
    findings = [f"memory {fault}" for fault in _growth(looks)]
    findings += leaks(looks)
    if looks[-1].of_workers > looks[0].of_workers:  # of workers that were not replaced: each has filled its own anew
        findings.append(f"descriptors of workers went from {looks[0].of_workers} to {looks[-1].of_workers}")
    findings += [f"an answer with status {seen.status}: {seen.note}" for seen in ledger.seen if seen.status != 200][:5]
    text = markdown(HEADER, [look.cells() for look in looks])
    text += f"  {slope(looks):.0f} bytes a request, by a straight line through all looks\n" + ledger.table()
    return Verdict(text, (*ledger.findings, *findings))


def _look(server: Server, ledger: Ledger, plan: Plan, requests: int, before: int = 0) -> Holdings:
    for shot in fire(replace(plan, requests=requests)).shots:
        ledger.note(shot.seen)
    server.settled(5.0)
    return Holdings.of(server, before + requests)


def short_sounds() -> list[Sound]:
    """The shortest recordings, with their words."""
    manifest, _ = clips_for(CALLSIGN)
    clips = read_clips(manifest)
    return [Sound(clip.path.read_bytes(), clip.seconds, clip.text) for clip in clips if clip.seconds <= LONGEST]


def slope(looks: Sequence[Holdings]) -> float:
    """Bytes a request, by least squares."""
    return float(np.polyfit([look.requests for look in looks], [look.memory for look in looks], 1)[0])


def _growth(looks: Sequence[Holdings]) -> list[str]:
    grown, rise = looks[-1].memory - looks[0].memory, slope(looks)
    if looks[-1].requests < JUDGED:
        return [f"grew by {grown / MEGABYTE:.1f} MB"] if grown > MAX_SETTLING else []
    found = [f"grew by {grown / MEGABYTE:.1f} MB"] if grown > MAX_GROWTH else []
    return found + ([f"grows by {rise:.0f} bytes a request"] if rise > MAX_SLOPE else [])


def leaks(looks: Sequence[Holdings]) -> list[str]:
    """Descriptors, threads and tasks that are more in the end than in any look of the first half."""
    first, last = looks[: max(1, len(looks) // 2)], looks[-1]
    pairs = {
        "descriptors of the service": (max(look.descriptors for look in first), last.descriptors),
        "descriptors of the engine": (max(look.of_engine for look in first), last.of_engine),
        "threads": (max(look.threads for look in first), last.threads),
        "tasks": (max(look.tasks for look in first), last.tasks),
    }
    return [f"{name} went from {one} to {other}" for name, (one, other) in pairs.items() if other > one]
