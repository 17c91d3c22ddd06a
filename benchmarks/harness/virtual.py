"""Time that costs nothing: an event loop whose clock jumps to the next timer instead of waiting for it."""

import asyncio
import selectors
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

Value = TypeVar("Value")

TURN = 1e-9
"""Seconds a turn of the loop takes. With none, code whose wait is a rounding error too short would retry for ever."""


class NothingLeft(Exception):
    """Everybody waits, and no timer will ever wake them."""


@dataclass(slots=True)
class Clock:
    """Seconds since the loop was made."""

    now: float = 0.0


class JumpingSelector(selectors.SelectSelector):
    """Polls, and where nothing is ready puts the clock forward by as long as it was to wait."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now. Raises NothingLeft where it was to wait without end."""
        ready = super().select(0)
        if not ready and timeout is None:
            raise NothingLeft("nobody can go on, at any time")
        self._clock.now += TURN if ready or timeout is None else max(TURN, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop for code that waits for timers and for itself only: no threads, no sockets."""

    def __init__(self) -> None:
        self._clock = Clock()
        super().__init__(JumpingSelector(self._clock))

    def time(self) -> float:
        return self._clock.now


def run_virtually(work: Coroutine[Any, Any, Value]) -> Value:
    """Run it in a virtual loop of its own, which begins at 0 seconds."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
