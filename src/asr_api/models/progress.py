"""How far the making of a model folder has come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` bytes of what is under way for `model` (its hub id)."""

    model: str
    action: Literal["assembling", "downloading"]
    done: int
    total: int


OnProgress = Callable[[Progress], None]
"""Called as bytes arrive, from whichever thread has them; it should return at once."""


def unheard(_: Progress) -> None:
    """An `OnProgress` for nobody."""
