"""Load from a process of its own, so that what the clients cost is known and yields to the server."""

import asyncio
import itertools
import json
import os
import random
import resource
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import uvloop

from tests.faults.ledger import Seen
from tests.faults.raw import Connection, Reply, head, multipart, new_id

NICENESS = 10
PATIENCE = 60.0
"""Seconds after which a request that has no answer is given up."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A file that is posted, its length in seconds, and the words that are said in it, empty where nobody knows."""

    content: bytes
    seconds: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is fired at `host`:`port` for `seconds`.

    With a `rate` it is an open loop, so many requests a second, at moments of a Poisson process that
    the seed decides, whether others were answered or not. Without one, `users` post again at once.
    """

    host: str
    port: int
    sounds: Sequence[Sound]
    seconds: float
    rate: float | None = None
    users: int = 1
    seed: int = 1
    requests: int | None = None
    """Requests of a closed loop at most."""
    headers: tuple[str, ...] = ()
    rest: float = 0.0
    """Seconds that a user of a closed loop waits after a refusal."""
    leave: float | None = None
    """Clients go away after up to so many seconds, if they have no answer by then."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One request: moments by `time.perf_counter`, `status` 0 where no answer came."""

    id: str
    audio: float
    planned: float
    sent: float
    ended: float = 0.0
    status: int = 0
    retry_after: str = ""
    body: bytes = b""
    right: bool | None = None
    left: bool = False
    fault: str = ""

    @property
    def seconds(self) -> float:
        return self.ended - self.sent

    @property
    def seen(self) -> Seen:
        """As the ledger has it."""
        return Seen(self.id, self.status or None, self.right, self.left, seconds=self.seconds, note=self.fault)


@dataclass(frozen=True, slots=True)
class Volley:
    """All requests of a plan, in the order in which they ended, and what firing them took."""

    shots: tuple[Shot, ...]
    began: float
    ended: float
    cpu_seconds: float
    connections: int


def volley(plan: Plan, niceness: int = NICENESS) -> Volley:
    """Fire from a process of its own, at a low priority."""
    with own_process(niceness) as own:
        return own.submit(fire, plan).result()


def own_process(niceness: int = NICENESS) -> ProcessPoolExecutor:
    """One process, with as many descriptors as it may have, for `with`."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin, initargs=(niceness,))


def _begin(niceness: int) -> None:
    os.nice(niceness)
    raise_descriptors()


def raise_descriptors() -> int:
    """Allow this process, and those that it starts, as many descriptors as the system lets it; returns how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def fire(plan: Plan) -> Volley:
    """Fire from this process."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Gun(plan).fire())


def _answered(shot: Shot, reply: Reply, sound: Sound) -> Shot:
    shot = replace(shot, status=reply.status, retry_after=reply.headers.get("retry-after", ""))
    if reply.status != 200:
        return replace(shot, body=reply.body)
    return replace(shot, right=json.loads(reply.body)["text"] == sound.text) if sound.text else shot


class Gun:
    """Connections that are kept, and the requests that went through them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.idle: list[Connection] = []
        self.shots: list[Shot] = []
        self.connections = 0
        self._chance = random.Random(plan.seed)

    async def fire(self) -> Volley:
        rounds = itertools.cycle([(multipart(sound.content), sound) for sound in self.plan.sounds])
        began, spent = time.perf_counter(), time.process_time()
        await (self._closed(rounds, began) if self.plan.rate is None else self._open(rounds, began))
        for connection in self.idle:
            connection.close()
        spent = time.process_time() - spent
        return Volley(tuple(self.shots), began, time.perf_counter(), spent, self.connections)

    async def _open(self, rounds: Iterator[tuple[bytes, Sound]], began: float) -> None:
        moment = began
        async with asyncio.TaskGroup() as group:
            while (moment := moment + self._chance.expovariate(self.plan.rate or 1.0)) < began + self.plan.seconds:
                await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                group.create_task(self._shoot(*next(rounds), moment))

    async def _closed(self, rounds: Iterator[tuple[bytes, Sound]], began: float) -> None:
        turns = itertools.count() if self.plan.requests is None else iter(range(self.plan.requests))
        async with asyncio.TaskGroup() as group:
            for _ in range(self.plan.users):
                group.create_task(self._user(turns, rounds, began + self.plan.seconds))

    async def _user(self, turns: Iterator[int], rounds: Iterator[tuple[bytes, Sound]], end: float) -> None:
        for _ in turns:
            if time.perf_counter() > end:
                return
            shot = await self._shoot(*next(rounds), time.perf_counter())
            if shot.status != 200:
                await asyncio.sleep(self.plan.rest)

    async def _shoot(self, body: bytes, sound: Sound, planned: float) -> Shot:
        shot = Shot(new_id(), sound.seconds, planned, time.perf_counter())
        try:
            reply = await self._ask(head("/transcribe", len(body), shot.id, *self.plan.headers), body)
        except TimeoutError:
            shot = replace(shot, left=self.plan.leave is not None, fault="no answer in time")
        except OSError as error:
            shot = replace(shot, fault=repr(error))
        else:
            shot = _answered(shot, reply, sound)
        shot = replace(shot, ended=time.perf_counter())
        self.shots.append(shot)
        return shot

    async def _ask(self, *pieces: bytes) -> Reply:
        connection = await self._connection()
        patience = PATIENCE if self.plan.leave is None else self._chance.uniform(0, self.plan.leave)
        try:
            connection.write(*pieces)
            async with asyncio.timeout(patience):
                reply = await connection.reply()
        except BaseException:
            connection.close()
            raise
        if reply.headers.get("connection") == "close":
            connection.close()
        else:
            self.idle.append(connection)
        return reply

    async def _connection(self) -> Connection:
        while self.idle:
            if (connection := self.idle.pop()).usable:
                return connection
        self.connections += 1
        return await Connection.open(self.plan.host, self.plan.port)
