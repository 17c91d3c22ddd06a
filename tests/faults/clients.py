"""Clients that behave: each posts a clip whose words are known, reads the answer, and posts the next."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from tests.e2e.recordings import POOL, words
from tests.faults.ledger import Ledger, Seen
from tests.faults.raw import Connection, Reply, head, multipart

PATIENCE = 60.0
"""Seconds after which an answer counts as lost."""

FRESH = 0.1
"""The share of requests for which a client makes a new connection."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A form with a recording of a few seconds, and what is said in it."""

    body: bytes
    said: tuple[str, ...]

    def right(self, reply: Reply) -> bool:
        """Whether an answer in JSON has the words."""
        return reply.whole and tuple(words(_json(reply).get("text", ""))) == self.said


@cache
def clips() -> tuple[Clip, ...]:
    """English call signs."""
    return tuple(Clip(multipart(one.path.read_bytes()), tuple(words(one.text))) for one in POOL)


class GoodClients:
    """So many clients in a thread of their own, for `with`: on leaving, each ends the request it is at.

    They never ask for the same again, whatever the answer. `rest` seconds, on average, lie between
    an answer and the next request; `most` is how many requests they send all together.
    """

    def __init__(
        self,
        address: tuple[str, int],
        ledger: Ledger,
        count: int,
        *,
        seed: int,
        rest: float = 0.0,
        most: int | None = None,
    ) -> None:
        self._address = address
        self._ledger = ledger
        self._count = count
        self._seed = seed
        self._rest = rest
        self._left = most
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clients", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self.wait()

    def wait(self) -> None:
        """Until all have ended."""
        self._thread.join(2 * PATIENCE)
        if self._thread.is_alive():
            self._ledger.found("clients do not come to an end")

    def _run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._client(random.Random(f"{self._seed}/{number}")))

    async def _client(self, chance: random.Random) -> None:
        connection: Connection | None = None
        while self._another():
            if connection is not None and (chance.random() < FRESH or not connection.usable):
                connection.close()
                connection = None
            connection = await self._ask(connection, chance.choice(clips()))
            if self._rest:
                await asyncio.sleep(chance.expovariate(1 / self._rest))
        if connection is not None:
            connection.close()

    def _another(self) -> bool:
        if self._leaving.is_set() or self._left == 0:
            return False
        if self._left is not None:
            self._left -= 1
        return True

    async def _ask(self, connection: Connection | None, clip: Clip) -> Connection | None:
        """Post once, and note what came of it."""
        own, began = self._ledger.id(), time.monotonic()
        try:
            connection = connection or await Connection.open(*self._address)
        except OSError as error:
            self._ledger.note(Seen(own, None, note=repr(error), reached=False))
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                reply = await self._post(connection, own, clip)
        except (OSError, TimeoutError) as error:
            connection.close()
            self._ledger.note(Seen(own, None, note=repr(error), seconds=time.monotonic() - began))
            return None
        right = clip.right(reply) if reply.status == 200 else None
        self._ledger.note(Seen(own, reply.status, right, seconds=time.monotonic() - began, note=_code(reply)))
        return connection

    async def _post(self, connection: Connection, own: str, clip: Clip) -> Reply:
        connection.write(head("/transcribe", len(clip.body), own), clip.body)
        return await connection.reply()


def warm(address: tuple[str, int], ledger: Ledger) -> None:
    """A few requests, after which the server has opened what it opens once."""
    with GoodClients(address, ledger, 4, seed=0, most=12) as clients:
        clients.wait()


def _code(reply: Reply) -> str:
    """The code of a refusal."""
    return "" if reply.status == 200 else str(_json(reply).get("error", {}).get("code", "no error in JSON"))


def _json(reply: Reply) -> dict[str, Any]:
    """The object that an answer is, empty where it is none."""
    try:
        body = json.loads(reply.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a share of the values does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
