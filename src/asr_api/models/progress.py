"""How far the making of a model folder has come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` bytes of what is under way for `model` (its hub id); 0 of 0 while another process is at it."""

    model: str
    action: Literal["waiting", "assembling", "downloading"]
    done: int
    total: int


OnProgress = Callable[[Progress], None]
"""Called as bytes arrive, from whichever thread has them; it should return at once."""


def unheard(_: Progress) -> None:
    """An `OnProgress` for nobody."""
