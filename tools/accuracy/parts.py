"""The parts of a measurement: a module each, and what `measure` in it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol


class Measured(Protocol):
    """What one part found. As text it is a section in Markdown, without a heading.

    `missed` has a sentence for each bar that was not met.
    """

    @property
    def missed(self) -> Sequence[str]: ...

    def as_json(self) -> dict[str, object]: ...


Measure = Callable[..., Measured]
"""`measure(full=...)`: on Debian's recordings too where `full`, else on what the repository carries.

A part may take `every=n` besides: of Debian's recordings only each n-th.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """`tools/accuracy/NAME.py`, and the heading of what it finds; `brief` where it belongs to the few minutes of what
    the repository carries.
    """

    name: str
    title: str
    brief: bool = False

    def measure(self, full: bool, **options: int) -> Measured:
        """Loads the part only now. Raises ImportError where there is none of this name."""
        module = import_module(f"tools.accuracy.{self.name}")
        measure: Measure = module.measure
        return measure(full=full, **options)


PARTS = (
    Part("callsign", "Held-out voices"),
    Part("clips", "Clips", brief=True),
    Part("prompts", "Prompts and hotwords"),
    Part("defaults", "Decoding defaults"),
    Part("invariance", "Batch invariance", brief=True),
    Part("contexts", "Audio context", brief=True),
    Part("conditions", "Bad recordings"),
    Part("words", "Word times", brief=True),
    Part("silence", "Nothing said, nothing written", brief=True),
    Part("long", "Long recordings", brief=True),
    Part("language", "Languages"),
)
"""In the order in which they are measured and told."""


def part_named(name: str) -> Part:
    """Raises KeyError."""
    return {part.name: part for part in PARTS}[name]
