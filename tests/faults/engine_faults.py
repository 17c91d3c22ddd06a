"""The engine's process killed and frozen under load: nobody is left without an answer."""

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace

from tests.faults.clients import PATIENCE, GoodClients, percentile, warm
from tests.faults.ledger import Ledger, Verdict
from tests.faults.processes import alive, memory_files
from tests.faults.server import Samples, Server, until

RESTART_SECONDS = 2.0
"""From a kill to an engine that is ready."""

FIRST_BACKOFF = 1.0
"""What is added where the engine that was killed had not answered a call yet."""

GRACE = 0.5
"""Seconds in which a hang is noticed, beyond the time that a call may take."""

HANG_TIMEOUT = 1.0
HUNG = "an engine call hung"
"""What the log says of a call that took longer than it may, with the seconds that it had."""

ORPHAN_SECONDS = 2.0
"""In which children of a killed service are gone."""

GIVEN_UP_SECONDS = 60.0
"""In which a crash loop is given up: 15 s of pauses, and the starts between them."""

GOOD_SHARE = 0.99
"""Of all requests, those that get their words although an engine was lost under them."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One engine that was lost: seconds until it was noticed to be gone, and until another was ready."""

    noticed: float
    restarted: float
    fresh: bool
    """Whether it had not answered a call yet."""

    @property
    def late(self) -> str:
        """What was too slow, if anything."""
        bound = RESTART_SECONDS + FIRST_BACKOFF * self.fresh
        if self.restarted <= bound:
            return ""
        return f"an engine was back {self.restarted:.2f} s after it was killed, {bound:g} s are allowed"


class EngineBreaker:
    """Does something to the engine of a server, again and again, and sees it come back."""

    def __init__(self, server: Server, ledger: Ledger, chance: random.Random, number: int) -> None:
        self._server = server
        self._ledger = ledger
        self._chance = chance
        self._signal = number
        self.losses: list[Loss] = []

    def strike(self, *, fresh: bool) -> None:
        """Send the signal at a random moment: right after the engine came up, or while it answers calls."""
        if fresh:
            time.sleep(self._chance.uniform(0.0, 0.05))
        else:
            self.wait_for_an_answer()
            time.sleep(self._chance.uniform(0.0, 0.8))
        victims = self._server.engine_pids()
        if len(victims) != 1:
            self._ledger.found(f"there are {len(victims)} engine processes")
            return
        self._see(victims[0], fresh)

    def wait_for_an_answer(self) -> None:
        before = answered(self._server.metrics())
        if not until(lambda: answered(self._server.metrics()) > before, PATIENCE, 0.05):
            self._ledger.found("the engine answers no calls")

    def _see(self, victim: int, fresh: bool) -> None:
        began = time.monotonic()
        os.kill(victim, self._signal)
        if not until(lambda: not alive(victim), PATIENCE):
            self._ledger.found(f"the engine process {victim} still lives")
        noticed = time.monotonic() - began
        if not until(lambda: self._is_back(victim), PATIENCE):
            self._ledger.found("no engine came after one that was lost")
        self.losses.append(Loss(noticed, time.monotonic() - began, fresh))

    def _is_back(self, victim: int) -> bool:
        others = [pid for pid in self._server.engine_pids() if pid != victim]
        return bool(others) and self._server.state() == "ready"


def answered(samples: Samples) -> float:
    """Engine calls that ended well."""
    return samples.total("asr_batches_total", outcome="ok")


def kills(*, seed: int, count: int, clients: int = 12, strict: bool = False) -> Verdict:
    """SIGKILL to the engine at random moments, each tenth time before it has answered a call.

    A restart that took too long is a finding where `strict`: a machine that others use is slow.
    """
    chance = random.Random(seed)
    with Server() as server:
        ledger = Ledger.of(server, "kill")
        breaker = EngineBreaker(server, ledger, chance, signal.SIGKILL)
        warm(server.address, ledger)
        before, held = server.metrics(), Held.of(server)
        with GoodClients(server.address, ledger, clients, seed=seed):
            for number in range(count):
                breaker.strike(fresh=number % 10 == 9)
            breaker.wait_for_an_answer()
        ledger.close(server)
        _check_restarts(ledger, before, server.metrics(), "crash", count)
        check_words(ledger, GOOD_SHARE)
        held.check(ledger, server)
        check_end(ledger, server)
    late = [loss.late for loss in breaker.losses if loss.late]
    return _with_times(ledger, f"{count} kills, {_times(breaker)}; {_words(ledger)}", late, strict=strict)


def hangs(*, seed: int, count: int, clients: int = 8, strict: bool = False) -> Verdict:
    """SIGSTOP to the engine at random moments; it must be found out, and replaced.

    One that was found out too late is a finding where `strict`.
    """
    chance = random.Random(seed)
    with Server(engine_hang_timeout=HANG_TIMEOUT, max_batch_size=2) as server:
        ledger = Ledger.of(server, "hang")
        breaker = EngineBreaker(server, ledger, chance, signal.SIGSTOP)
        warm(server.address, ledger)
        before, held = server.metrics(), Held.of(server)
        with GoodClients(server.address, ledger, clients, seed=seed):
            for _ in range(count):
                breaker.strike(fresh=False)
            breaker.wait_for_an_answer()
        ledger.close(server)
        after = server.metrics()
        allowed = [event["seconds"] for event in server.log() if event["message"] == HUNG]
        _check_restarts(ledger, before, after, "hang", count)
        check_words(ledger, GOOD_SHARE)
        held.check(ledger, server)
        check_end(ledger, server)
    if len(allowed) != count:
        ledger.found(f"the log has {len(allowed)} calls that hung, of {count}")
    late = [
        f"a hang was found out after {loss.noticed:.2f} s, {GRACE} s more than the {bound:.2f} s that the call had"
        for loss, bound in zip(breaker.losses, allowed, strict=False)
        if loss.noticed > bound + GRACE
    ]
    bounds = f"{percentile(allowed, 0.5):.2f} s (p50), {max(allowed, default=0.0):.2f} s (most)"
    text = f"{count} hangs, calls had {bounds}, {_times(breaker)}; {_words(ledger)}"
    return _with_times(ledger, text, late, strict=strict)


def _with_times(ledger: Ledger, text: str, late: list[str], *, strict: bool) -> Verdict:
    """What was late is told in any case."""
    if strict:
        for miss in late:
            ledger.found(miss)
        return ledger.verdict(text)
    verdict = ledger.verdict(text)
    return replace(verdict, text=verdict.text + "".join(f"  late: {miss}\n" for miss in late))


def _moved(before: Samples, after: Samples, name: str, **labels: str) -> float:
    return after.total(name, **labels) - before.total(name, **labels)


def _check_restarts(ledger: Ledger, before: Samples, after: Samples, reason: str, count: int) -> None:
    for one in ("crash", "hang", "cuda", "manual"):
        counted = _moved(before, after, "asr_engine_restarts_total", reason=one)
        if counted != (count if one == reason else 0):
            ledger.found(f"asr_engine_restarts_total{{{one}}} moved by {counted:g} for {count} of {reason}")
    if after.total("asr_engine_state", state="ready") != 1:
        ledger.found("the engine is not ready at the end")


@dataclass(frozen=True, slots=True)
class Held:
    """What the service holds for one engine: descriptors, and those of them that are shared memory."""

    descriptors: int
    shared: int

    @classmethod
    def of(cls, server: Server) -> "Held":
        return cls(server.usage().descriptors, memory_files(server.pid))

    def check(self, ledger: Ledger, server: Server) -> None:
        """The same is held now; descriptors of connections that have just ended are given time."""
        until(lambda: Held.of(server).descriptors <= self.descriptors, ORPHAN_SECONDS, 0.1)
        now = Held.of(server)
        if now.descriptors > self.descriptors or now.shared != self.shared:
            ledger.found(f"{self} at the beginning, {now} at the end")


def check_words(ledger: Ledger, share: float = 1.0) -> None:
    """At least this share of those who stayed got their words, and nobody got others."""
    if ledger.right < share * ledger.stayed:
        ledger.found(f"{ledger.right} of {ledger.stayed} requests got their words")
    wrong = [seen.id for seen in ledger.seen if seen.right is False]
    if wrong:
        ledger.found("wrong words", wrong)


def check_end(ledger: Ledger, server: Server) -> None:
    """One engine and two workers at the end, nothing in the spool, and an end without a fault."""
    if len(server.engine_pids()) != 1 or len(server.worker_pids()) != 2:
        ledger.found(f"the children at the end are {server.children()}")
    if left := os.listdir(server.spool):
        ledger.found(f"the spool still has {left}")
    children = list(server.children())
    if code := server.stop():
        ledger.found(f"the server ended with {code}")
    if not until(lambda: not any(map(alive, children)), ORPHAN_SECONDS):
        ledger.found("children outlived the server")
    ledger.keep(server)


def _times(breaker: EngineBreaker) -> str:
    noticed = [loss.noticed for loss in breaker.losses]
    back = [loss.restarted for loss in breaker.losses if not loss.fresh]
    fresh = [loss.restarted for loss in breaker.losses if loss.fresh]
    text = f"gone after {spread(noticed)}, ready again after {spread(back)}"
    return text + (f", {spread(fresh)} where it had not answered yet" if fresh else "")


def spread(seconds: list[float]) -> str:
    return f"{percentile(seconds, 0.5):.2f} s (p50), {percentile(seconds, 1):.2f} s (most)"


def _words(ledger: Ledger) -> str:
    times = [seen.seconds for seen in ledger.seen if seen.status == 200]
    share = ledger.right / max(1, ledger.stayed)
    return f"{ledger.right} of {ledger.stayed} requests ({share:.2%}) got their words, in {spread(times)}"


def crash_loop(*, seed: int) -> Verdict:
    """Each engine killed as soon as it can be seen: the service gives up, answers whoever waits, and says why."""
    with Server() as server:
        ledger = Ledger.of(server, "loop")
        server_pid, began, killed = server.pid, time.monotonic(), 0
        victims = server.engine_pids()
        with GoodClients(server.address, ledger, 4, seed=seed, most=4):
            while server.running and time.monotonic() - began < GIVEN_UP_SECONDS:
                for victim in victims:
                    with suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                        killed += 1
                time.sleep(0.02)
                victims = [pid for pid in server.engine_pids() if alive(server_pid)]
        seconds = time.monotonic() - began
        _check_given_up(ledger, server)
    return ledger.verdict(
        f"given up after {killed} kills in {seconds:.1f} s with exit code {server.process.returncode}"
    )


def _check_given_up(ledger: Ledger, server: Server) -> None:
    if server.running:
        ledger.found("the service goes on without an engine")
        server.kill()
    ledger.close(server)
    if server.process.returncode != 70:
        ledger.found(f"the exit code is {server.process.returncode}")
    last = [event for event in server.log() if event["level"] == "CRITICAL"]
    if not last or "failed for good" not in last[-1]["message"]:
        ledger.found(f"the log does not say why: {last}")
    if statuses := {seen.status for seen in ledger.seen} - {503}:
        ledger.found(f"those who waited got {statuses}")
    ledger.keep(server)
