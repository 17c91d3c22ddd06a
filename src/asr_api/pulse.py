"""Whether the event loop runs, and how late it comes to what it has to do."""

import asyncio
import time
from collections.abc import Callable

INTERVAL = 0.25
"""Seconds between two beats."""

PATIENCE = 30.0
"""Seconds without a beat after which the loop hangs: far longer than any callback, and any load, holds it up."""


class Pulse:
    """Beats on the loop that it was started on; may be looked at from any thread.

    `on_late` hears at each beat by how many seconds it was late.
    """

    def __init__(
        self,
        on_late: Callable[[float], None],
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_late = on_late
        self._patience = patience
        self._clock = clock
        self._beaten = clock()
        self._task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """False where the last beat, or the making of this, is longer ago than `patience` seconds."""
        return self._clock() - self._beaten <= self._patience

    def start(self) -> None:
        """Beat from now on. Call on the loop to be watched."""
        self._task = asyncio.create_task(self._run(), name="pulse")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def beat(self, due: float) -> None:
        """The loop has come to what was due at a time of the clock."""
        self._beaten = self._clock()
        self._on_late(max(0.0, self._beaten - due))

    async def _run(self) -> None:
        while True:
            due = self._clock() + INTERVAL
            await asyncio.sleep(INTERVAL)
            self.beat(due)
