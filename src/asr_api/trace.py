"""What one request did and how long it took: filled in on its way, read once at its end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from asr_api.metrics.labels import Phase, Stage

Moved = Callable[[Phase | None, Phase | None], None]
"""Hears the phase that a request leaves and the one that it enters; None is before its first and after its last."""


def unheard(_: Phase | None, __: Phase | None) -> None:
    """A `Moved` for nobody."""


@dataclass(slots=True)
class Trace:
    """The stages of one request in seconds, its audio in seconds, and the batches it rode in.

    Chunks of one request overlap: `queue` and `inference` are the longest of any chunk, so that
    the stages describe what the caller waited for. `starts` says when each stage began, on the
    monotonic clock. `phase` is what is done for the request now, None when it has ended.
    """

    id: str
    started: float = field(default_factory=time.monotonic)
    audio_seconds: float | None = None
    stages: dict[Stage, float] = field(default_factory=dict)
    starts: dict[Stage, float] = field(default_factory=dict)
    batch_sizes: list[int] = field(default_factory=list)
    phase: Phase | None = None
    moved: Moved = unheard
    ended: bool = False

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.starts.setdefault(name, began)
            self.stages[name] = self.stages.get(name, 0.0) + time.monotonic() - began

    def longest(self, name: Stage, seconds: float, began: float | None = None) -> None:
        """Keep the longest of several times that the stage took; one whose beginning nobody says ends now."""
        if name not in self.stages or seconds > self.stages[name]:
            self.stages[name] = seconds
            self.starts[name] = time.monotonic() - seconds if began is None else began

    def enter(self, phase: Phase) -> None:
        """Say what is done for the request from now on; work that outlives its request is not heard."""
        if not self.ended and phase != self.phase:
            self.moved(self.phase, phase)
            self.phase = phase

    def end(self) -> None:
        """Nothing is done for the request any more."""
        if not self.ended:
            self.moved(self.phase, None)
            self.ended = True

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def branch(self) -> "Trace":
        """The trace of one of several files: what was before counts for each; its phase is that of the whole."""
        return Trace(
            self.id,
            self.started,
            stages=dict(self.stages),
            starts=dict(self.starts),
            moved=lambda _, phase: self.enter(phase) if phase else None,
        )

    def join(self, branch: "Trace") -> None:
        """Take in what one of several files took: they run side by side, so the longest counts."""
        for name, seconds in branch.stages.items():
            self.longest(name, seconds, branch.starts.get(name, self.started))
        self.batch_sizes += branch.batch_sizes
        if branch.audio_seconds is not None:
            self.audio_seconds = (self.audio_seconds or 0.0) + branch.audio_seconds
