"""The way from serving to having served: nobody who came is left without an answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from asr_api.server.accepting import Acceptor
from asr_api.server.connections import Connections
from asr_api.service import Service

TICK = 0.02
"""Seconds between two looks at what is still to be waited for."""

ANSWER = 1.0
"""Seconds in which a request that was failed is answered."""

SILENCE = 1.0
"""Seconds for which a connection must have been silent to be closed: what comes on it now comes by chance."""

PARTING = 2.0
"""Seconds at least for the last answers to be taken."""


@dataclass(frozen=True, slots=True)
class DrainLimits:
    """Seconds that the port stays open at least, and that requests in progress get."""

    delay: float
    timeout: float


class Drain:
    """Ends a service behind an acceptor, once: `begin` it on the loop, and wait for `run`.

    From the beginning new requests are refused, on connections that each answer closes. When
    nothing is in progress any more, or the time is over and the rest was refused too, the port is
    closed, and then every connection that has nothing to say. A failed service stays failed.
    """

    def __init__(self, service: Service, acceptor: Acceptor, connections: Connections, limits: DrainLimits) -> None:
        self._service = service
        self._acceptor = acceptor
        self._connections = connections
        self._limits = limits
        self._hurry = asyncio.Event()

    def begin(self) -> None:
        self._connections.draining = True
        if self._service.state != "failed":
            self._service.drain()

    def hurry(self) -> None:
        """Wait for nothing more: fail what is in progress."""
        self._hurry.set()

    async def run(self) -> None:
        now = asyncio.get_running_loop().time
        deadline = now() + self._limits.timeout
        earliest = min(deadline, now() + self._limits.delay)
        await self._until(lambda: not self._service.running and now() >= earliest, deadline)
        if self._service.running:
            await self._fail()
        await self._acceptor.close()
        await self._part(max(deadline, now() + PARTING))

    async def _fail(self) -> None:
        """Refuse what is in progress: bodies that still come, then work, then whatever has no answer even so."""
        for link in self._connections:
            link.expel()
        await self._service.close(0)
        answered_by = asyncio.get_running_loop().time() + ANSWER
        await self._until(lambda: not self._connections.unanswered, answered_by, hurried=True)
        for link in self._connections:
            link.cut_short()

    async def _part(self, deadline: float) -> None:
        """Close what is silent until nothing is left; in a hurry, only as long as last answers take."""
        now = asyncio.get_running_loop().time

        def parted() -> bool:
            self._connections.close_silent(now() - SILENCE)
            return not len(self._connections)

        await self._until(parted, deadline)
        await self._until(parted, min(deadline, now() + PARTING), hurried=True)

    async def _until(self, condition: Callable[[], bool], deadline: float, *, hurried: bool = False) -> None:
        """Wait for a condition until a time of the loop's clock, or until there is a hurry if there was none."""
        now = asyncio.get_running_loop().time
        while not condition() and now() < deadline and (hurried or not self._hurry.is_set()):  # noqa: ASYNC110
            await asyncio.sleep(TICK)  # what is waited for are numbers, of which nobody tells
