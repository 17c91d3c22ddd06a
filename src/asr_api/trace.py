"""What one request did and how long it took: filled in on its way, read once at its end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from asr_api.metrics import Stage


@dataclass(slots=True)
class Trace:
    """The stages of one request in seconds, its audio in seconds, and the batches it rode in.

    Chunks of one request overlap: `queue` and `inference` are the longest of any chunk, so that
    the stages describe what the caller waited for.
    """

    id: str
    started: float = field(default_factory=time.monotonic)
    audio_seconds: float | None = None
    stages: dict[Stage, float] = field(default_factory=dict)
    batch_sizes: list[int] = field(default_factory=list)

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.monotonic() - began

    def longest(self, name: Stage, seconds: float) -> None:
        self.stages[name] = max(self.stages.get(name, 0.0), seconds)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def branch(self) -> "Trace":
        """The trace of one of several files: what was before counts for each."""
        return Trace(self.id, self.started, stages=dict(self.stages))

    def join(self, branch: "Trace") -> None:
        """Take in what one of several files took: they run side by side, so the longest counts."""
        for name, seconds in branch.stages.items():
            self.longest(name, seconds)
        self.batch_sizes += branch.batch_sizes
        if branch.audio_seconds is not None:
            self.audio_seconds = (self.audio_seconds or 0.0) + branch.audio_seconds
