"""All connections of one listener: how many there may be, and which of them could go."""

from collections.abc import Callable, Iterator
from typing import Protocol

from asr_api.metrics.labels import ConnectionEnd


class Link(Protocol):
    """One connection.

    `since` is when it became idle, on the loop's clock; `silent` whether nothing of another
    request has come since, and `unanswered` whether a request waits for the start of its answer.
    """

    since: float

    @property
    def silent(self) -> bool: ...

    @property
    def unanswered(self) -> bool: ...

    def hang_up(self, reason: ConnectionEnd) -> None:
        """Close it, whatever it is at."""

    def expel(self) -> None:
        """Refuse the request whose body is still coming."""

    def cut_short(self) -> None:
        """Refuse whatever request has no answer yet, without asking the application."""


class Connections:
    """The connections of one event loop; `on_closed` hears why each ended.

    `draining`: every answer is its connection's last.
    """

    def __init__(self, most: int, on_closed: Callable[[ConnectionEnd], None]) -> None:
        self._most = most
        self._on_closed = on_closed
        self._open: set[Link] = set()
        self._idle: dict[Link, None] = {}
        self._leaving: set[Link] = set()
        self._coming = 0
        self.draining = False

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._open))

    def make_room(self) -> bool:
        """Room for one more, if need be that of the one that has been idle for longest. False where none is idle."""
        if len(self._open) - len(self._leaving) + self._coming >= self._most and not self.let_go():
            self._on_closed("limit")
            return False
        self._coming += 1
        return True

    def let_go(self) -> bool:
        """Close the connection that has been idle for longest. False where none is."""
        link = next(iter(self._idle), None)
        if link is None:
            return False
        self._leave(link, "limit")
        return True

    def failed(self) -> None:
        """One for which there was room could not be opened."""
        self._coming -= 1

    def opened(self, link: Link) -> None:
        """One for which there was room is open now."""
        self._coming -= 1
        self._open.add(link)
        self._idle[link] = None

    def busy(self, link: Link) -> None:
        """A request has come."""
        self._idle.pop(link, None)

    def idle(self, link: Link) -> None:
        """All requests are answered."""
        if link not in self._leaving:
            self._idle[link] = None

    def closed(self, link: Link, reason: ConnectionEnd) -> None:
        self._open.discard(link)
        self._idle.pop(link, None)
        self._leaving.discard(link)
        self._on_closed(reason)

    def close_silent(self, since: float) -> None:
        """Close those that have been idle since a time on the loop's clock, or longer."""
        for link in [link for link in self._idle if link.since <= since and link.silent]:
            self._leave(link, "drain")

    @property
    def unanswered(self) -> int:
        """Requests that wait for the start of their answer."""
        return sum(link.unanswered for link in self._open)

    def _leave(self, link: Link, reason: ConnectionEnd) -> None:
        self._idle.pop(link, None)
        self._leaving.add(link)
        link.hang_up(reason)
