"""A client that comes back for an answer that it did not wait for finds it, instead of asking for it twice."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from asr_api.errors import AsrError, Draining, InvalidRequest

Event = TypeVar("Event")
Value = TypeVar("Value")
Tell = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Ticket:
    """By what a request is known: whose it is, what it asks (files and options), and the client's own key for it.

    `retries` is how often the client says that it has asked already, None where it does not say.
    """

    tenant: str
    asked: Hashable
    idempotency_key: str | None = None
    retries: int | None = None

    @property
    def may_return(self) -> bool:
        """Whether the client is one that asks again when it was not answered."""
        return self.idempotency_key is not None or self.retries is not None

    @property
    def returns(self) -> bool:
        return self.idempotency_key is not None or bool(self.retries)

    @property
    def place(self) -> Hashable:
        """Where its work is found again."""
        if self.idempotency_key is not None:
            return self.tenant, "key", self.idempotency_key
        return self.tenant, "asked", self.asked


@dataclass(slots=True, eq=False)
class _Work(Generic[Event, Value]):
    """Work under way, with all that it has told, and who listens."""

    place: Hashable
    asked: Hashable
    task: asyncio.Task[Value] | None = None
    told: list[Event] = field(default_factory=list)
    listeners: list[Tell[Event]] = field(default_factory=list)
    waiting: int = 0
    end: asyncio.TimerHandle | None = None

    def tell(self, event: Event) -> None:
        self.told.append(event)
        for listener in self.listeners:
            listener(event)


class Joining(Generic[Event, Value]):
    """Runs work, and keeps that of clients that may come back for `window` seconds after they left.

    At most `limit` works are kept so: the one that was left first is given up for the next.
    """

    def __init__(self, window: float, limit: int, on_joined: Callable[[], None]) -> None:
        """`on_joined` is called for each request that found its work."""
        self._window = window
        self._limit = limit
        self._left: dict[_Work[Event, Value], None] = {}
        self._on_joined = on_joined
        self._works: dict[Hashable, _Work[Event, Value]] = {}

    async def run(self, ticket: Ticket, work: Callable[[Tell[Event]], Awaitable[Value]], tell: Tell[Event]) -> Value:
        """What `work` returns; `tell` hears its events, also those from before the request joined.

        Raises what the work raises, and InvalidRequest where an idempotency key stands for another request.
        """
        known = self._works.get(ticket.place)
        if known is None:
            return await (self._begin(ticket, work, tell) if ticket.may_return else work(tell))
        if known.asked != ticket.asked:
            raise InvalidRequest(
                "the Idempotency-Key was sent with another request before", code="idempotency_key_reused"
            )
        if not ticket.returns:
            return await work(tell)
        self._on_joined()
        for event in known.told:
            tell(event)
        return await self._wait(known, tell)

    async def close(self) -> None:
        """End all work, and forget its results. Who still waits hears Draining."""
        works = list(self._works.values())
        for work in works:
            self._give_up(work)
        await asyncio.gather(*(work.task for work in works if work.task is not None), return_exceptions=True)

    async def _begin(self, ticket: Ticket, work: Callable[[Tell[Event]], Awaitable[Value]], tell: Tell[Event]) -> Value:
        begun: _Work[Event, Value] = _Work(ticket.place, ticket.asked)

        async def run() -> Value:
            return await work(begun.tell)

        begun.task = asyncio.create_task(run(), name="joinable")
        self._works[ticket.place] = begun
        begun.task.add_done_callback(lambda _: self._ended(begun))
        return await self._wait(begun, tell)

    async def _wait(self, work: _Work[Event, Value], tell: Tell[Event]) -> Value:
        if work.task is None:
            raise RuntimeError("work without a task")
        if work.end is not None:
            work.end.cancel()
        self._left.pop(work, None)
        work.waiting += 1
        work.listeners.append(tell)
        try:
            return await asyncio.shield(work.task)
        except AsrError as error:
            raise error.copy() from error  # others may be told the same
        except asyncio.CancelledError:
            if work.task.cancelled() and not _cancelling():
                raise Draining("the service is shutting down") from None
            raise
        finally:
            work.waiting -= 1
            work.listeners.remove(tell)
            if not work.waiting:
                self._leave(work)

    def _leave(self, work: _Work[Event, Value]) -> None:
        """The last who waited is gone: unless somebody comes back, the work ends, or its result is forgotten."""
        if self._works.get(work.place) is work:
            self._left[work] = None
            if len(self._left) > self._limit:
                self._give_up(next(iter(self._left)))
            work.end = asyncio.get_running_loop().call_later(self._window, self._give_up, work)

    def _give_up(self, work: _Work[Event, Value]) -> None:
        if work.task is not None:
            work.task.cancel()
        self._forget(work)

    def _ended(self, work: _Work[Event, Value]) -> None:
        """Whoever waits has the result; where nobody does, it is kept for who comes back. A failure is not."""
        failed = work.task is None or work.task.cancelled() or work.task.exception() is not None
        if work.waiting or failed:
            self._forget(work)

    def _forget(self, work: _Work[Event, Value]) -> None:
        if work.end is not None:
            work.end.cancel()
        self._left.pop(work, None)
        if self._works.get(work.place) is work:
            del self._works[work.place]


def _cancelling() -> bool:
    """Whether it is the caller itself that is being cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
