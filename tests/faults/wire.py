"""Requests that nobody would write, by the ten thousand: an answer that is documented, or a closed connection."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from asr_api.metrics.labels import WORKER_RESTARTS
from tests.faults.bad_requests import Case, case
from tests.faults.ledger import Verdict, requests_in
from tests.faults.raw import Connection, Reply
from tests.faults.server import Server, until
from tests.faults.watching import MEGABYTE, Watch

SETTINGS = {
    "header_timeout": 1,
    "upload_timeout": 1,
    "keep_alive_timeout": 5,
    "max_upload_bytes": 1 << 20,
    "max_audio_seconds": 60,
}
DOCUMENTED = (200, 307, 400, 401, 404, 405, 408, 413, 414, 415, 429, 431, 503, 504)
"""What the README and openapi.json say that a request may be answered with; 500 is a bug."""

AT_A_TIME = 48
PATIENCE = 20.0
"""Seconds in which a connection must have an answer or an end; one that lingers has 10."""

MORE = 0.02
"""Seconds in which a further answer on the same connection may begin."""

WARM_UP = 200
"""Cases after which memory is looked at."""

MAX_GROWTH = 50 * MEGABYTE
SHOWN = 20


@dataclass(slots=True)
class Answers:
    """How often each kind of case had which ending, and what none may have."""

    endings: "Counter[tuple[str, str]]" = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def take(self, one: Case, replies: Sequence[Reply], ending: str, seconds: float) -> None:
        """Count a case; all its replies are judged."""
        self.endings[one.kind, ending] += 1
        self.slowest = max(self.slowest, seconds)
        if len(replies) > one.replies:
            self._found(one, f"{len(replies)} answers")
        for reply in replies:
            if fault := fault_of(reply, headless=one.headless):
                self._found(one, fault)
        if ending in ("nothing", "no HTTP"):
            self._found(one, f"{ending} after {seconds:.1f} s")

    def _found(self, one: Case, fault: str) -> None:
        self.findings.append(f"case {one.number} ({one.kind}): {fault}; it begins with {b''.join(one.pieces)[:200]!r}")

    def table(self) -> str:
        """A line for each kind, then for all."""
        kinds = sorted({kind for kind, _ in self.endings})
        lines = [
            (kind, Counter({e: count for (own, e), count in self.endings.items() if own == kind})) for kind in kinds
        ]
        lines.append(("all", sum((counts for _, counts in lines), Counter[str]())))
        return "".join(f"  {kind:16} {counts.total():>6}  {_listed(counts)}\n" for kind, counts in lines)


def fault_of(reply: Reply, *, headless: bool) -> str:
    """What is wrong with one answer, empty where nothing is: its status, its envelope, its Retry-After."""
    if reply.status not in DOCUMENTED:
        return f"status {reply.status}: {reply.body[:200]!r}"
    if reply.status < 400 or headless:
        return ""
    try:
        error = json.loads(reply.body)["error"]
    except (ValueError, KeyError, TypeError):
        return f"{reply.status} without an envelope: {reply.body[:200]!r}"
    if error.keys() != {"message", "type", "param", "code"} or not error["code"]:
        return f"{reply.status} with the envelope {error}"
    if "x-request-id" not in reply.headers:
        return f"{reply.status} without an id"
    return (
        ""
        if reply.status not in (429, 503) or "retry-after" in reply.headers
        else f"{reply.status} without Retry-After"
    )


def wire(*, seed: int, count: int) -> Verdict:
    """Send so many cases; each is the same for the same seed and number."""
    answers = Answers()
    with Server(None, **SETTINGS) as server:
        before = {server.pid, *server.engine_pids(), *server.worker_pids()}
        asyncio.run(_send(server.address, (case(seed, number) for number in range(min(count, WARM_UP))), answers))
        with Watch(server) as watch:
            cases = (case(seed, number) for number in range(min(count, WARM_UP), count))
            asyncio.run(_send(server.address, cases, answers))
        findings = [*_survived(server, before), *_growth(watch)]
        log = server.log()
        findings += [
            f"the log has {event}" for event in log if event.get("level") in ("ERROR", "CRITICAL", "unreadable")
        ]
        answered = server.metrics().by("code", "asr_http_responses_total")
        closed = server.metrics().by("reason", "asr_connections_closed_total")
    rate = (count - WARM_UP) / watch.seconds if count > WARM_UP else 0.0
    text = answers.table() + (
        f"  asr_http_responses_total: {_listed(answered)}\n  asr_connections_closed_total: {_listed(closed)}\n"
        f"  {len(requests_in(log))} requests in the log; {rate:.0f} cases a second, "
        f"the slowest {answers.slowest:.1f} s; memory {watch.first / MEGABYTE:.0f} to {watch.last / MEGABYTE:.0f} MB\n"
    )
    return Verdict(text, (*answers.findings, *findings)[:SHOWN])


def _survived(server: Server, before: set[int]) -> list[str]:
    """What was lost of processes, and what is still in progress."""
    found = [f"{name} is {value:g} at the end" for name, value in server.settled(10.0).items()]
    if not server.running:
        return [*found, f"the server ended with {server.process.returncode}"]
    until(lambda: not server.metrics().levels, 5.0)
    now = {server.pid, *server.engine_pids(), *server.worker_pids()}
    found += [f"processes {sorted(before - now)} are gone"] if before - now else []
    restarts = server.metrics().by("reason", "asr_decode_worker_restarts_total")
    lost = {reason: restarts[reason] for reason in WORKER_RESTARTS if restarts.get(reason)}
    return [*found, *([f"decode workers were replaced: {lost}"] if lost else [])]


def _growth(watch: Watch) -> list[str]:
    growth = (watch.last - watch.first) / MEGABYTE
    return [f"memory grew by {growth:.0f} MB"] if watch.last - watch.first > MAX_GROWTH else []


async def _send(address: tuple[str, int], cases: Iterator[Case], answers: Answers) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(_send_some(address, cases, answers))


async def _send_some(address: tuple[str, int], cases: Iterator[Case], answers: Answers) -> None:
    for one in cases:
        began = time.perf_counter()
        replies, ending = await _exchange(address, one)
        answers.take(one, replies, ending, time.perf_counter() - began)


async def _exchange(address: tuple[str, int], one: Case) -> tuple[list[Reply], str]:
    """All answers to one case, and how it ended: with the status of the first, `closed`, `nothing` or `no HTTP`."""
    connection = await Connection.open(*address)
    replies: list[Reply] = []
    try:
        for piece in one.pieces:
            connection.write(piece)
            await asyncio.sleep(0)
        while len(replies) <= one.replies:
            async with asyncio.timeout(MORE if replies else PATIENCE):
                reply = await connection.reply()
            replies += [reply] if reply.status >= 200 else []
    except (TimeoutError, ConnectionResetError):
        pass
    finally:
        connection.close()
    if replies:
        return replies, str(replies[0].status)
    return replies, "no HTTP" if connection.garbage else "closed" if connection.closed.done() else "nothing"


def _listed(counts: "Counter[str] | dict[str, float]") -> str:
    return ", ".join(f"{name} {count:g}" for name, count in sorted(counts.items()) if count)
