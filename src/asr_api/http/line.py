"""The requests that wait for the engine, in the order in which they came to it."""

from collections.abc import Callable

from asr_api.metrics.labels import Phase
from asr_api.trace import Moved


class Line:
    """Who waits for a first turn of the engine. Turns are fair, not strictly in this order: a short file
    may be served before a long one that came earlier.
    """

    def __init__(self) -> None:
        self._waiting: dict[Spot, None] = {}

    def enter(self, spot: "Spot") -> None:
        """Stand behind all who wait; where there are none, there is nothing to tell."""
        if ahead := len(self._waiting):
            spot.tell(ahead)
        self._waiting[spot] = None

    def leave(self, spot: "Spot") -> None:
        """Whoever stands behind is told that there is one less before him."""
        if spot in self._waiting:
            ahead = list(self._waiting).index(spot)
            del self._waiting[spot]
            for place, other in enumerate(list(self._waiting)[ahead:], ahead):
                other.tell(place)


class Spot:
    """Where one request stands; `tell` hears how many wait before it, whenever that has changed.

    It follows the phases of the request's trace, which `moved` hears as well.
    """

    def __init__(self, line: Line, moved: Moved) -> None:
        self._line = line
        self._moved = moved
        self._served = False
        self.tell: Callable[[int], None] = _unheard

    def moved(self, before: Phase | None, now: Phase | None) -> None:
        """The request goes from one phase to the next; one that is served does not stand in line again.

        Its answer may begin, and so its last phase, while it still waits.
        """
        self._moved(before, now)
        if now == "queue" and not self._served:
            self._line.enter(self)
        elif now in ("inference", None):
            self._served = True
            self._line.leave(self)


def _unheard(_: int) -> None:
    """Nobody asks."""
