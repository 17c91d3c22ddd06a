"""Clients that go away in each phase of a request, in three ways, while others go on and notice nothing."""

import contextlib
import itertools
import os
import random
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

from tests.audio.sounds import silence
from tests.e2e.recordings import APART, joined, wav
from tests.faults.clients import GoodClients, clips, warm
from tests.faults.engine_faults import check_end, check_words
from tests.faults.ledger import Ledger, Seen, Verdict, moved
from tests.faults.raw import BOUNDARY, head, multipart
from tests.faults.server import Samples, Server, Usage, until

AT_ONCE = 6
"""Clients that are leaving at a time."""

GOOD = 4
"""Clients that stay: together with `AT_ROUND` that leave, fewer than a batch holds."""

AT_ROUND = 3
SECONDS = 20.0
"""What a client waits for at most, before it goes."""

QUIET = 1.0
"""Seconds after the last has left in which everything it had is given back."""

SLACK = 2
"""Descriptors that may be open at the end and were not at the beginning: probes of this program."""

EXACT = 0.9
"""The least share of those that left in the engine, or in their answer, that must be found there: a batch or an
answer may end between the moment at which this program looks and that at which the client goes."""

WAYS = ("reset", "close", "half")
"""RST; FIN of both directions at once; FIN of one, as of a client that says no more, and waits."""


class Leaver:
    """A client of one request that goes away."""

    def __init__(self, server: Server, ledger: Ledger, way: str) -> None:
        self._ledger = ledger
        self._way = way
        self.id = ledger.id()
        self._socket = socket.create_connection(server.address, timeout=SECONDS)

    def send(self, *pieces: bytes) -> None:
        self._socket.sendall(b"".join(pieces))

    def receive(self, until_bytes: bytes) -> bool:
        """Read until something has come; False where the connection ended before."""
        found = b""
        while until_bytes not in found:
            piece = self._socket.recv(1 << 16)
            if not piece:
                return False
            found += piece
        return True

    def leave(self, *, reached: bool = True) -> None:
        """Go, and note it."""
        with contextlib.suppress(OSError):
            if self._way == "reset":
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if self._way == "half":
                self._socket.shutdown(socket.SHUT_WR)
                while self._socket.recv(1 << 16):
                    pass
        self._socket.close()
        self._ledger.note(Seen(self.id, None, left=True, reached=reached, note=self._way))


@dataclass(frozen=True)
class Scene:
    """What a phase needs to be left in: the server with others at work, and chance."""

    server: Server
    ledger: Ledger
    chance: random.Random
    ways: Iterator[str]

    def leaver(self) -> Leaver:
        return Leaver(self.server, self.ledger, next(self.ways))

    def pause(self, least: float, most: float) -> None:
        time.sleep(self.chance.uniform(least, most))

    @cached_property
    def silent(self) -> bytes:
        """An hour in which nothing is said: a small file with which a worker is busy for long."""
        return multipart(silence("flac", "flac", 3600))

    @cached_property
    def several(self) -> bytes:
        """Some clips with pauses between them, to be answered piece by piece."""
        return multipart(wav(joined(0.5, APART, seed=5)[0]), {"model": "whisper-1", "stream": "true"})

    def at_once(self, count: int, leave: "Callable[[Scene], None]") -> None:
        """So many, some at a time."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(leave, self) for _ in range(count)]:
                done.result()

    def in_rounds(self, count: int, size: int, leave: "Callable[[Scene, int], None]") -> None:
        """So many, in groups that come and go together."""
        for begun in range(0, count, size):
            leave(self, min(size, count - begun))


def in_headers(scene: Scene) -> None:
    """A line or two of the head."""
    one = scene.leaver()
    whole = head("/transcribe", 1000, one.id)
    one.send(whole[: scene.chance.randrange(10, len(whole) - 4)])
    scene.pause(0.05, 0.15)
    one.leave(reached=False)


def in_body(scene: Scene) -> None:
    """A part of the body, which the server has asked for; in memory, or so much that it is on disk."""
    one = scene.leaver()
    size = scene.chance.choice((100_000, 4 << 20))
    one.send(head("/transcribe", size, one.id, "Expect: 100-continue"))
    one.receive(b"100 Continue\r\n\r\n")
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
    one.send(start, bytes(scene.chance.randrange(1, size - 1000)))
    scene.pause(0.0, 0.1)
    one.leave()


def in_decoding(scene: Scene) -> None:
    """A file that keeps its worker busy."""
    one = scene.leaver()
    one.send(head("/transcribe", len(scene.silent), one.id), scene.silent)
    scene.pause(0.1, 0.3)
    one.leave()


def in_queue(scene: Scene, count: int) -> None:
    """Behind an engine that is frozen meanwhile."""
    with frozen(scene):
        leavers = _wait_in_line(scene, count)
        _leave_all(scene, leavers)


def in_engine(scene: Scene, count: int) -> None:
    """In the batch after the one that was frozen, which is frozen in its turn."""
    with frozen(scene):
        leavers = _wait_in_line(scene, count)
        before = _batches(scene.server.metrics())
    until(lambda: _batches(scene.server.metrics()) > before, SECONDS, 0.0)
    with frozen(scene):
        _leave_all(scene, leavers)


def in_answer(scene: Scene) -> None:
    """After the first event of a stream."""
    one = scene.leaver()
    one.send(head("/v1/audio/transcriptions", len(scene.several), one.id), scene.several)
    one.receive(b"data:")
    one.leave()


@contextlib.contextmanager
def frozen(scene: Scene) -> Iterator[None]:
    """The engine stands still, with a batch in it."""
    (engine,) = scene.server.engine_pids()
    os.kill(engine, signal.SIGSTOP)
    try:
        until(lambda: scene.server.metrics().total("asr_requests_running") > 0, SECONDS, 0.0)
        yield
    finally:
        os.kill(engine, signal.SIGCONT)


def _wait_in_line(scene: Scene, count: int) -> list[Leaver]:
    """Clients whose clips wait for the engine."""
    leavers = [scene.leaver() for _ in range(count)]
    for one in leavers:
        clip = scene.chance.choice(clips())
        one.send(head("/transcribe", len(clip.body), one.id), clip.body)
    until(lambda: _in_line(scene.server.metrics()) >= GOOD + count, SECONDS)
    return leavers


def _in_line(samples: Samples) -> float:
    phases = samples.by("phase", "asr_requests_in_flight")
    return phases["queue"] + phases["inference"]


def _batches(samples: Samples) -> float:
    return samples.total("asr_batches_total", outcome="ok")


def _leave_all(scene: Scene, leavers: Sequence[Leaver]) -> None:
    """All go; the engine stays as it is until the server has seen it."""
    before = _left(scene.server.metrics())
    for one in leavers:
        one.leave()
    until(lambda: _left(scene.server.metrics()) >= before + len(leavers), SECONDS, 0.02)


def _left(samples: Samples) -> float:
    return samples.total("asr_client_disconnects_total")


@dataclass(frozen=True, slots=True)
class Phase:
    """Where clients go, what the metrics call it, and the share of them that must be counted there."""

    name: str
    label: str
    go: Callable[[Scene, int], None]
    share: float = 1.0


POOL = 6
"""Threads that an event loop's pool may still start: four more than this machine's two cores."""

PHASES = (
    Phase("sending the head", "headers", lambda scene, count: scene.at_once(count, in_headers)),
    Phase("sending the body", "upload", lambda scene, count: scene.at_once(count, in_body)),
    Phase("being decoded", "decode", lambda scene, count: scene.at_once(count, in_decoding)),
    Phase("waiting", "queue", lambda scene, count: scene.in_rounds(count, 4 * AT_ROUND, in_queue)),
    Phase("in the engine", "inference", lambda scene, count: scene.in_rounds(count, AT_ROUND, in_engine), EXACT),
    Phase("being answered", "response", lambda scene, count: scene.at_once(count, in_answer), EXACT),
)


def disconnects(*, seed: int, count: int) -> Verdict:
    """So many clients leave in each of the six phases."""
    chance = random.Random(seed)
    with Server() as server:
        ledger = Ledger.of(server, "leave")
        scene = Scene(server, ledger, chance, itertools.cycle(WAYS))
        _warm(scene)
        before = server.usage()
        with GoodClients(server.address, ledger, GOOD, seed=seed):
            lines = [_play(scene, phase, count) for phase in PHASES]
        ledger.close(server, QUIET)
        check_words(ledger)
        _check_held(ledger, server, before)
        lines.append(f"  held before {before}, after {server.usage()}\n")
        check_end(ledger, server)
    good = f"{ledger.right} of {ledger.stayed} requests of those who stayed got their words"
    return ledger.verdict(f"{len(PHASES) * count} clients left; {good}\n{''.join(lines)}".rstrip())


def _warm(scene: Scene) -> None:
    """Everything has been used once, so that threads and descriptors that stay are there."""
    warm(scene.server.address, scene.ledger)
    for leave in (in_body, in_decoding, in_answer):
        scene.at_once(AT_ONCE, leave)
    scene.server.settled(SECONDS)


def _play(scene: Scene, phase: Phase, count: int) -> str:
    """Have clients leave in a phase, and see that all of them are counted."""
    before, began = scene.server.metrics(), time.monotonic()
    phase.go(scene, count)
    gone = time.monotonic()
    until(lambda: _left(scene.server.metrics()) >= _left(before) + count, QUIET, 0.02)
    seen = time.monotonic() - gone
    counted = moved(before, scene.server.metrics(), "phase", "asr_client_disconnects_total")
    if sum(counted.values()) != count:
        scene.ledger.found(f"{count} clients left {phase.name}, counted are {counted}")
    if counted.get(phase.label, 0) < phase.share * count:
        scene.ledger.found(f"{count} clients left {phase.name}, as {phase.label} are counted {counted}")
    return f"  {phase.name:17} {count} in {gone - began:.0f} s, counted {counted} within {seen:.2f} s\n"


def _check_held(ledger: Ledger, server: Server, before: Usage) -> None:
    """Nothing is held for those who left."""
    holds = partial(_more_than, server, before)
    until(lambda: not holds(), 10 * QUIET, 0.1)
    for fault in holds():
        ledger.found(fault)


def _more_than(server: Server, before: Usage) -> list[str]:
    now, faults = server.usage(), []
    if now.descriptors > before.descriptors + SLACK:
        faults.append(f"{now.descriptors} descriptors are open, {before.descriptors} were")
    if now.threads > before.threads + POOL:
        faults.append(f"there are {now.threads} threads, {before.threads} were")
    return faults
