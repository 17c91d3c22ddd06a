"""Stand-ins for the parts around the one under test, handed in by argument."""

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from asr_api.batching import Flow, Served
from asr_api.engine.protocol import DecodingOptions, DecodingResult, DecodingTask, EngineInfo
from asr_api.errors import AsrError, StartupError
from asr_api.transcription import SAMPLE_RATE, AudioOptions, ChunkPlace, FeatureChunk

INFO = EngineInfo("fake", "cpu", "float32", 1, 80, ("en", "de", "fr"))


def result(text: str, **changes: object) -> DecodingResult:
    """A confident reading of `text`."""
    values: dict[str, object] = {
        "text": text,
        "tokens": tuple(range(len(text.split()))),
        "language": "en",
        "language_probability": 0.9,
        "temperature": 0.0,
        "avg_logprob": -0.2,
        "no_speech_prob": 0.01,
        "compression_ratio": 1.1,
    }
    return DecodingResult(**(values | changes))  # type: ignore[arg-type]


def number_of(task: DecodingTask) -> int:
    """The chunk's number, which its features carry."""
    return int(task.features[0, 0])


@dataclass
class FakeRecording:
    """Ten seconds a chunk; then `silence` seconds in which nobody speaks."""

    count: int
    silence: int
    claimed_seconds: float | None
    work: float = 0.0
    seconds: float | None = None
    elapsed: float = 0.125

    async def __aiter__(self) -> AsyncIterator[FeatureChunk]:
        size = 10 * SAMPLE_RATE
        for number in range(self.count):
            self.work += 10
            yield FeatureChunk(ChunkPlace(number * size, size, 9.0), np.full((1, 1), number, np.float16))
        self.seconds = self.count * 10.0 + self.silence


class FakeFrontEnd:
    """A recording of `chunks` chunks whatever the file is; one with content is refused with it."""

    def __init__(self, chunks: int, silence: int = 0, claimed: float | None = None) -> None:
        self._count = chunks
        self._silence = silence
        self._claimed = claimed
        self.options: list[AudioOptions] = []

    @asynccontextmanager
    async def open(self, upload: BinaryIO, options: AudioOptions) -> AsyncIterator[FakeRecording]:
        self.options.append(options)
        error = upload.read()
        if error:
            raise AsrError(error.decode())
        yield FakeRecording(self._count, self._silence, self._claimed)


class FakeDecoding:
    """Processes that are none."""

    def __init__(self, error: StartupError | None = None) -> None:
        self._error = error
        self.running = False

    async def open(self) -> None:
        if self._error:
            raise self._error
        self.running = True

    async def close(self) -> None:
        self.running = False


@dataclass
class FakeQueue:
    """Answers each task by `answer`, at once, and remembers what was asked."""

    answer: Callable[[DecodingTask], DecodingResult]
    asked: list[DecodingTask] = field(default_factory=list)
    waiting: int = 0
    most_waiting: int = 0

    async def submit(self, item: DecodingTask, *, flow: Flow, cost: float, deadline: float) -> Served[DecodingResult]:
        self.asked.append(item)
        return Served(self.answer(item), waited=0.25, ran=0.5, batch_size=3)


class FakeEngine:
    """Reads the number of each chunk; blocks while `gate` is clear."""

    def __init__(self, info: EngineInfo = INFO) -> None:
        self.info = info
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.closed = False
        self.batches: list[int] = []
        self.error: BaseException | None = None

    def tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(range(len(text.split())))

    def decode(self, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]:
        self.batches.append(len(tasks))
        self.entered.set()
        self.gate.wait(30)
        if self.error is not None:
            raise self.error
        return [result(f" chunk {number_of(task)}") for task in tasks]

    def close(self) -> None:
        self.closed = True


PLAIN = DecodingOptions()
