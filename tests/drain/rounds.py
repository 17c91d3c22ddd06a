"""Rounds of load and SIGTERM against the real server."""

import asyncio
import random
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..e2e.recordings import POOL
from .ledger import Caller, Ledger
from .process import RealServer

OVERTIME = 5.0
"""Seconds that the process may take to end when its time is over."""


@dataclass
class Summary:
    """All rounds together; `faults` are rounds that ended wrongly."""

    rounds: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    longest: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        fates = self.ledger.fates
        rows = [
            ("rounds", self.rounds),
            ("requests", self.ledger.requests),
            ("200 with the right words", fates["200"]),
            ("503 draining", fates["503"]),
            ("refused after the end", fates["refused"]),
            ("lost", fates["lost"]),
            ("wrong ends", len(self.faults)),
            ("longest end, s", round(self.longest, 2)),
        ]
        return "\n".join(f"{name:26}{value:>8}" for name, value in rows)


def run_rounds(count: int, seed: int, model_dir: Path, tell: Callable[[str], object]) -> Summary:
    """So many rounds, each of another kind by chance; `tell` hears of what goes wrong."""
    summary = Summary()
    for number in range(count):
        one = f"{seed}-{number}"
        ledger, fault, took = asyncio.run(_round(one, model_dir))
        summary.rounds += 1
        summary.ledger.add(ledger)
        summary.longest = max(summary.longest, took)
        if fault:
            summary.faults.append(fault)
        if fault or ledger.lost:
            tell(f"round {one}: {fault} {ledger.lost}")
    return summary


async def _round(seed: str, model_dir: Path) -> tuple[Ledger, str, float]:
    """What became of the requests, what was wrong with the end, and how long it took."""
    chance = random.Random(seed)
    seconds, delay = chance.choice((0.1, 1.0, 30.0)), chance.choice((0.0, 0.5))
    settings = {"ASR_DRAIN_TIMEOUT": f"{seconds}", "ASR_DRAIN_DELAY": f"{delay}"}
    ledger = Ledger()
    with RealServer(model_dir, settings) as server:
        callers = [Caller(server.port, POOL, ledger, f"{seed}-{n}") for n in range(chance.randint(8, 16))]
        load = asyncio.gather(*(caller.run() for caller in callers))
        await asyncio.sleep(chance.uniform(0.0, 2.5))
        early = ledger.fates["503"] + ledger.fates["refused"]
        server.signal(signal.SIGTERM)
        try:
            code, took = await asyncio.to_thread(server.end, seconds + OVERTIME)
        except subprocess.TimeoutExpired:
            return ledger, "it did not end", seconds + OVERTIME
        await load
        wrong = [f"exit code {code}"] if code else []
        wrong += ["refused before the signal"] if early else []
        wrong += ["a stack trace"] if "Traceback" in server.log else []
    return ledger, ", ".join(wrong), took
