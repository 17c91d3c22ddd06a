"""When Python looks for cycles of objects that nobody uses any more."""

import asyncio
import gc

YOUNG, MIDDLE = 5_000, 3
"""After so many new objects that stay, and after so many such rounds, what is new is looked at (gc.set_threshold).

The middle round looks at 15,000 objects, in some 30 ms on a slow core.
"""

INTERVAL = 60.0
"""Seconds between two looks at all objects. With three thousand connections open one takes 0.25 s, in which nobody
is answered; by Python's own measure there would be one every few seconds then.
"""

NEVER = 1 << 30


def rest() -> None:
    """Have what is there now never looked at again, and what comes in small portions. Call it when all is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)


async def collect(interval: float = INTERVAL) -> None:
    """Look at all objects from time to time, for what has outlived the small rounds. Never returns."""
    while True:
        await asyncio.sleep(interval)
        gc.collect()
