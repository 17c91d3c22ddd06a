"""Everything at once for an hour: load, engines that are killed, clients that leave, bad files, wrong keys, bursts."""

import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from benchmarks.harness.table import markdown

from tests.faults.endurance import HEADER, MAX_GROWTH, MAX_SETTLING, Holdings, leaks, short_sounds
from tests.faults.engine_faults import EngineBreaker
from tests.faults.ledger import Ledger, Verdict
from tests.faults.server import Server, until
from tests.faults.volley import Plan, Shot, Sound, fire, volley
from tests.faults.watching import MEGABYTE
from tests.fuzz.mutants import Nursery
from tests.fuzz.seeds import seeds

KEY = "a-key-of-the-campaign"
AUTHORIZED = f"Authorization: Bearer {KEY}"
FORGED = "Authorization: Bearer another-key-of-nobody"

USERS = 3
WARM = 8
"""Users before each look, a full batch."""

PAUSE = 4.0
"""Seconds between two faults, on average."""

KILLED = "decoder_killed"

BURST = 60.0
"""Requests a second, several times what two cores can do."""

ALLOWED = {
    "load": (200, 503),
    "burst": (200, 503),
    "bad files": (200, 400, 413, 503),
    "wrong keys": (401, 429),
    "leavers": (200, 503),
}
"""Statuses by who asks: an engine that is lost, and a burst, may refuse anybody."""


@dataclass(slots=True)
class Shots:
    """All requests by who sent them."""

    by_kind: dict[str, list[Shot]] = field(default_factory=dict)

    def take(self, kind: str, shots: "tuple[Shot, ...]") -> None:
        self.by_kind.setdefault(kind, []).extend(shots)

    def table(self) -> str:
        lines = ((kind, Counter(_ending(shot) for shot in shots)) for kind, shots in sorted(self.by_kind.items()))
        return "".join(f"  {kind:12} {counts.total():>6}  {dict(sorted(counts.items()))}\n" for kind, counts in lines)

    def findings(self, killed: int) -> list[str]:
        """What nobody may get; so many files, at most, were refused since the worker that read them was killed."""
        crashed = sum(_lost_its_worker(shot) for shots in self.by_kind.values() for shot in shots)
        found = [f"{crashed} files were refused for {killed} workers that were killed"] if crashed > killed else []
        return found + [
            f"{kind}: {count} answers {ending}"
            for kind, shots in self.by_kind.items()
            for ending, count in Counter(_ending(shot) for shot in shots if not _allowed(kind, shot)).items()
        ]


def _allowed(kind: str, shot: Shot) -> bool:
    if shot.status == 0:
        return shot.left
    return shot.status in ALLOWED[kind] and shot.right is not False


def _lost_its_worker(shot: Shot) -> bool:
    return shot.status == 503 and json.loads(shot.body)["error"]["code"] == KILLED


def _ending(shot: Shot) -> str:
    if shot.status == 0:
        return "left" if shot.left else shot.fault
    return f"{shot.status} with wrong words" if shot.right is False else f"{shot.status}"


class Havoc:
    """One fault after the other, each of which the `chance` decides."""

    def __init__(self, server: Server, ledger: Ledger, plan: Plan, chance: random.Random) -> None:
        self._server, self._plan, self._chance = server, plan, chance
        self._nursery = Nursery(seeds())
        self._breaker = EngineBreaker(server, ledger, chance, signal.SIGKILL)
        self.shots = Shots()
        self.done = Counter[str]()

    def wreak(self, until_then: float) -> None:
        kinds: dict[str, Callable[[], None]] = {
            "engine killed": self._kill_engine,
            "decode worker killed": self._kill_worker,
            "burst": self._burst,
            "bad files": self._bad_files,
            "wrong keys": self._wrong_keys,
            "leavers": self._leavers,
        }
        while time.perf_counter() < until_then:
            kind = self._chance.choice(sorted(kinds))
            kinds[kind]()
            self.done[kind] += 1
            time.sleep(self._chance.uniform(0, 2 * PAUSE))

    def _kill_engine(self) -> None:
        self._breaker.strike(fresh=False)

    def _kill_worker(self) -> None:
        os.kill(self._chance.choice(self._server.worker_pids()), signal.SIGKILL)

    def _burst(self) -> None:
        plan = replace(self._plan, rate=BURST, seconds=3.0, seed=self._chance.randrange(1_000_000))
        self.shots.take("burst", volley(plan).shots)

    def _bad_files(self) -> None:
        first = self._chance.randrange(100_000)
        sounds = [Sound(self._nursery.mutant(number).data, 0.0) for number in range(first, first + 20)]
        self.shots.take("bad files", fire(replace(self._plan, sounds=sounds, requests=20)).shots)

    def _wrong_keys(self) -> None:
        self.shots.take("wrong keys", fire(replace(self._plan, requests=20, headers=(FORGED,))).shots)

    def _leavers(self) -> None:
        self.shots.take(
            "leavers",
            fire(replace(self._plan, requests=20, users=4, leave=1.0, seed=self._chance.randrange(1_000_000))).shots,
        )


def mixed(*, seed: int, minutes: int, **settings: object) -> Verdict:
    """So many minutes of load and faults; at the end the service holds what it held after the first tenth.

    Findings are answers that may not be, memory, descriptors and threads, and the ledger.
    """
    chance = random.Random(seed)
    chosen = {"api_keys": f"campaign:{KEY}", "max_concurrent_requests": 32, "max_audio_seconds": 600}
    with Server(None, **(chosen | settings)) as server:
        ledger = Ledger.of(server, "mixed")
        plan = Plan(
            *server.address, short_sounds(), float("inf"), users=USERS, headers=(AUTHORIZED,), rest=0.25, seed=seed
        )
        havoc = Havoc(server, ledger, plan, chance)
        looks = [_stretch(server, havoc, plan, share * 60.0 * minutes) for share in (0.1, 0.3, 0.3, 0.3)]
        for shot in itertools.chain.from_iterable(havoc.shots.by_kind.values()):
            ledger.note(shot.seen)
        ledger.close(server, 5.0)
        errors = [event for event in server.log() if event.get("level") in ("CRITICAL", "unreadable")]
    killed = havoc.done["decode worker killed"]
    findings = [
        *havoc.shots.findings(killed),
        *leaks(looks),
        *(f"the log has {event}" for event in errors[:5]),
    ]
    findings += _growth(looks[0], looks[-1])
    text = f"  {dict(sorted(havoc.done.items()))}\n{havoc.shots.table()}"
    text += markdown(HEADER, [look.cells() for look in looks]) + ledger.table()
    return Verdict(text, (*ledger.findings, *findings))


def _growth(first: Holdings, last: Holdings) -> list[str]:
    """The service's own is judged strictly; its children are new ones, which are not equally warm."""
    pairs = {"the service": (first.service, last.service, MAX_GROWTH), "all": (first.memory, last.memory, MAX_SETTLING)}
    return [
        f"memory of {name} grew by {(other - one) / MEGABYTE:.1f} MB"
        for name, (one, other, most) in pairs.items()
        if other - one > most
    ]


def _stretch(server: Server, havoc: Havoc, plan: Plan, seconds: float) -> Holdings:
    """Load and faults for a while, then peace, in which all processes are there again."""
    with ThreadPoolExecutor(1) as beside:
        load = beside.submit(volley, replace(plan, seconds=seconds))
        havoc.wreak(time.perf_counter() + seconds)
        havoc.shots.take("load", load.result().shots)
    server.settled(10.0)
    until(lambda: server.state() == "ready" and len(server.worker_pids()) > 1, 30.0, 0.1)
    havoc.shots.take("load", fire(replace(plan, users=WARM, requests=8 * WARM)).shots)  # an engine may be new
    server.settled(10.0)
    return Holdings.of(server, sum(len(shots) for shots in havoc.shots.by_kind.values()))
