"""Work that is read while it goes on."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

Value = TypeVar("Value")
Event = TypeVar("Event")

KEEP_ALIVE = 15.0
"""Seconds of silence after which a client, and what stands between, should hear that we are still there."""


class Live(Generic[Event, Value]):
    """Runs while its context lasts; what the work tells waits here until it is read.

    `work` is given the function by which it tells its events.
    """

    def __init__(
        self, work: Callable[[Callable[[Event], None]], Awaitable[Value]], keep_alive: float = KEEP_ALIVE
    ) -> None:
        self._work = work
        self._keep_alive = keep_alive
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._task: asyncio.Task[Value]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="live")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def begin(self) -> None:
        """Return when there is something to tell, or was nothing for `keep_alive` seconds.

        Raises what the work failed with before it told anything.
        """
        await self._wait()
        if self._task.done() and not self._events:
            self._task.result()

    async def events(self) -> AsyncIterator[Event | None]:
        """What the work tells, and None whenever that was nothing for `keep_alive` seconds.

        Raises what the work failed with, after all that it told before.
        """
        while True:
            while self._events:
                yield self._events.popleft()
            if self._task.done():
                self._task.result()
                return
            if not await self._wait():
                yield None

    @property
    def result(self) -> Value:
        """What came of the work. Only after the last event."""
        return self._task.result()

    async def _run(self) -> Value:
        try:
            return await self._work(self._tell)
        finally:
            asyncio.get_running_loop().call_soon(self._news.set)

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        self._news.set()

    async def _wait(self) -> bool:
        """Whether there is news, or the work has ended."""
        if self._events or self._task.done():
            return True
        self._news.clear()
        try:
            async with asyncio.timeout(self._keep_alive):
                await self._news.wait()
        except TimeoutError:
            return False
        return True
