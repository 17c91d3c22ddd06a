"""Clients that hold connections and do next to nothing with them, in a process of their own."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import uvloop

from tests.faults.ledger import Seen
from tests.faults.raw import BOUNDARY, Connection, head, multipart, new_id

BODY = 1_000_000
"""Bytes that a slow body says it has."""

END = len(f"\r\n--{BOUNDARY}--\r\n")
"""Bytes that end a form."""

CRAWL = 1.0
"""Seconds between two bytes."""

LONGEST = 60
"""Bytes after which a client that nobody sends away gives up."""


@dataclass(frozen=True, slots=True)
class Siege:
    """So many clients of each kind at once, each of which comes again when it is sent away, for `seconds`.

    `crawlers` send a head byte by byte, `bodies` a form, `idlers` ask once and then keep quiet. They
    come within the first `ramp` seconds, and in the end those that send stay until they are sent away.
    """

    host: str
    port: int
    seconds: float
    ramp: float
    crawlers: int
    bodies: int
    idlers: int


@dataclass(frozen=True, slots=True)
class Trickle:
    """A request whose body never ended; status None where no answer came."""

    id: str
    seconds: float
    status: int | None


@dataclass(slots=True)
class Besieged:
    """What came of them: seconds until crawlers were sent away, what bodies heard, and idlers that lost their place."""

    crawls: list[float] = field(default_factory=list)
    trickles: list[Trickle] = field(default_factory=list)
    answered: "Counter[int]" = field(default_factory=Counter)
    faults: "Counter[str]" = field(default_factory=Counter)
    idle_at_end: int = 0
    idle_lost: int = 0
    connections: int = 0
    cpu_seconds: float = 0.0

    @property
    def seen(self) -> list[Seen]:
        """The bodies, as the ledger has them; heads never become requests."""
        return [Seen(one.id, one.status, seconds=one.seconds) for one in self.trickles]


def besiege(siege: Siege) -> Besieged:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Camp(siege).hold())


class _Camp:
    def __init__(self, siege: Siege) -> None:
        self._siege = siege
        self._came = Besieged()
        self._end = time.perf_counter() + siege.seconds

    async def hold(self) -> Besieged:
        spent = time.process_time()
        kinds = (
            (self._crawl, self._siege.crawlers),
            (self._trickle, self._siege.bodies),
            (self._idle, self._siege.idlers),
        )
        async with asyncio.TaskGroup() as group:
            for one, count in kinds:
                for number in range(count):
                    group.create_task(self._again(one, number / count * self._siege.ramp))
        self._came.cpu_seconds = time.process_time() - spent
        return self._came

    async def _again(self, one: Callable[[Connection], Coroutine[None, None, None]], delay: float) -> None:
        await asyncio.sleep(delay)
        while time.perf_counter() < self._end:
            try:
                connection = await Connection.open(self._siege.host, self._siege.port)
            except OSError as error:
                self._came.faults[f"not connected: {error}"] += 1
                await asyncio.sleep(CRAWL)
                continue
            self._came.connections += 1
            try:
                await one(connection)
            finally:
                connection.close()

    async def _crawl(self, connection: Connection) -> None:
        began = time.perf_counter()
        for byte in head("/transcribe", BODY, new_id())[:LONGEST]:
            connection.write(bytes([byte]))
            if await _closed_within(connection, CRAWL):
                self._came.crawls.append(time.perf_counter() - began)
                return
        self._came.faults["a head was never cut off"] += 1

    async def _trickle(self, connection: Connection) -> None:
        began, number = time.perf_counter(), new_id()
        connection.write(head("/transcribe", BODY, number), multipart(b"")[:-END])
        for _ in range(LONGEST):
            if connection.replies or await _closed_within(connection, CRAWL):
                break
            connection.write(b"-")
        status = connection.replies[0].status if connection.replies else None
        self._came.trickles.append(Trickle(number, time.perf_counter() - began, status))

    async def _idle(self, connection: Connection) -> None:
        connection.write(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            self._came.answered[(await connection.reply()).status] += 1
        except OSError:
            self._came.faults["an idle client had no answer"] += 1
            return
        await _closed_within(connection, self._end - time.perf_counter())
        if connection.closed.done():
            self._came.idle_lost += 1
        else:
            self._came.idle_at_end += 1


async def _closed_within(connection: Connection, seconds: float) -> bool:
    if seconds > 0:
        await asyncio.wait((connection.closed,), timeout=seconds)
    return connection.closed.done()
