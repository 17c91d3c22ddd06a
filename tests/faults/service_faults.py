"""The whole service killed under load: nothing is left behind, and the next one starts."""

import os
import random
import socket
import time
from dataclasses import dataclass, field

from tests.faults.clients import GoodClients
from tests.faults.engine_faults import ORPHAN_SECONDS, check_end, check_words, spread
from tests.faults.ledger import Ledger, Verdict
from tests.faults.processes import alive
from tests.faults.raw import BOUNDARY, head
from tests.faults.server import Server, until


def service_kill(*, seed: int, count: int, clients: int = 8) -> Verdict:
    """SIGKILL to the service itself under load: no child outlives it, and the next starts as if nothing had been."""
    chance = random.Random(seed)
    server = Server()
    fall = Fall(server)
    for number in range(count):
        fall.start()
        ledger = Ledger.of(server, f"fall-{number}")
        with _half_an_upload(server), GoodClients(server.address, ledger, clients, seed=seed, most=3 * clients):
            time.sleep(chance.uniform(0.2, 1.5))
            fall.kill()
        fall.broken += sum(seen.status is None for seen in ledger.seen)
    fall.start()
    with server.started():
        ledger = Ledger.of(server, "last")
        with GoodClients(server.address, ledger, clients, seed=seed, most=2 * clients) as good:
            good.wait()
        ledger.close(server)
        check_words(ledger)
        for fault in [*fall.findings, *_complaints(server)]:
            ledger.found(fault)
        check_end(ledger, server)
    return ledger.verdict(f"{count} kills of the service, {fall}; the run after them")


@dataclass(slots=True)
class Fall:
    """A service that is killed and started again; seconds until its children were gone, and until it was ready."""

    server: Server
    gone: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    broken: int = 0

    def __str__(self) -> str:
        return (
            f"its children gone after {spread(self.gone)}, started in {spread(self.starts)}, "
            f"{self.broken} connections broken"
        )

    def start(self) -> None:
        began = time.monotonic()
        self.server.start()
        self.server.wait_ready()
        self.starts.append(time.monotonic() - began)

    def kill(self) -> None:
        children = self.server.children()
        if self.server.metrics().total("asr_spool_files") < 1:
            self.findings.append("nothing was in the spool when the service was killed")
        began = time.monotonic()
        self.server.kill()
        if not until(lambda: not any(map(alive, children)), ORPHAN_SECONDS):
            orphans = [command for pid, command in children.items() if alive(pid)]
            self.findings.append(f"outlived the service: {orphans}")
        self.gone.append(time.monotonic() - began)
        if left := os.listdir(self.server.spool):
            self.findings.append(f"left in the spool: {left}")


def _half_an_upload(server: Server) -> socket.socket:
    """A body of which so much has come that it is on disk; None was answered yet."""
    connection = socket.create_connection(server.address, timeout=10)
    size = 8 << 20
    connection.sendall(head("/transcribe", size, "half", "Expect: 100-continue"))
    connection.recv(1024)
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
    connection.sendall(start + bytes(size // 2))
    until(lambda: server.metrics().total("asr_spool_files") >= 1, 5, 0.05)
    return connection


def _complaints(server: Server) -> list[str]:
    """What the log has that a service that was well does not say."""
    return [f"in the log: {event}" for event in server.log() if event["level"] not in ("INFO", "WARNING")]
