"""When Python looks for cycles of objects that nobody uses any more."""

import gc

YOUNG, MIDDLE, OLD = 5_000, 3, 200
"""After so many new objects that stay, so many such rounds, and so many of those (gc.set_threshold).

The middle round looks at 15,000 objects, in some 30 ms on a slow core. An old round looks at all of them: with
three thousand connections open, 0.25 s in which nobody is answered.
"""


def collect_rarely() -> None:
    """Have what is there now never looked at again, and what comes in small portions. To be called when all is loaded.

    Nearly all that requests leave is freed at once, without this; a cycle that outlives the
    small rounds waits for the rare one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
