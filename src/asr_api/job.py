"""One request on its way through the service, and the recording that it is about."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from asr_api.batching import Flow
from asr_api.stitching import Stitcher
from asr_api.trace import Trace
from asr_api.transcription import ChunkPlace, FeatureChunk, TranscriptionOptions

Progress = Callable[[float, float], None]
"""Hears the seconds of audio that are done, and those of the whole."""


class Recording(Protocol):
    """The chunks of one file, in order, while it is still being decoded; iteration raises InvalidAudio.

    `claimed_seconds` is what the file says of its length, `work` the seconds of chunks so far, and
    `seconds` its true length, None until all of it was decoded.
    """

    @property
    def claimed_seconds(self) -> float | None: ...
    @property
    def work(self) -> float: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def elapsed(self) -> float: ...
    def __aiter__(self) -> AsyncIterator[FeatureChunk]: ...


@dataclass(slots=True)
class Job:
    """One request on its way: what it wants, until when, and who is told how far it is.

    `done` is the seconds of its chunks that are finished, `told` the progress in the audio's seconds.
    """

    options: TranscriptionOptions
    prompt: tuple[int, ...]
    deadline: float
    flow: Flow
    trace: Trace
    recording: Recording
    on_progress: Progress | None
    stitcher: Stitcher
    remaining: Callable[[float], None]
    done: float = 0.0
    told: float = 0.0

    @property
    def duration(self) -> float:
        """The length of the audio in seconds; what the file says of it while nobody knows better."""
        known = self.recording.seconds
        return max(self.recording.claimed_seconds or 0.0, self.recording.work) if known is None else known

    @property
    def work(self) -> float:
        """The seconds of all chunks, guessed in the same way."""
        return self.duration if self.recording.seconds is None else self.recording.work

    @property
    def unheard(self) -> float:
        """Seconds that are in no chunk, since nobody speaks in them; 0 while not all is decoded."""
        return 0.0 if self.recording.seconds is None else max(0.0, self.recording.seconds - self.recording.work)

    def book(self) -> None:
        """Say what is still to be done, by what is known now."""
        self.remaining(self.work - self.done)

    def advance(self, place: ChunkPlace) -> None:
        self.done += place.duration
        self.book()
        self._tell(self.duration * self.done / self.work)

    def end(self) -> None:
        """All chunks are done; what comes after them is silence."""
        if self.told < self.duration:
            self._tell(self.duration)

    def note(self) -> None:
        """Write down what the front end took, however the request ended."""
        self.trace.stages["decode"], self.trace.audio_seconds = self.recording.elapsed, self.recording.seconds

    def _tell(self, seconds: float) -> None:
        self.told = seconds
        if self.on_progress is not None:
            self.on_progress(seconds, self.duration)
