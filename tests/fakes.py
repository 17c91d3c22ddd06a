"""Stand-ins for the parts around the one under test, handed in by argument."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from asr_api.batching import Flow, Served
from asr_api.engine.protocol import DecodingOptions, DecodingResult, DecodingTask, EngineInfo, Features
from asr_api.errors import AsrError
from asr_api.transcription import SAMPLE_RATE, AudioChunk, Samples

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


def features_of(samples: Samples) -> Features:
    """Features that carry the first sample, by which fake engines know the chunk."""
    return np.full((1, 1), samples[0], np.float32)


def number_of(task: DecodingTask) -> int:
    return int(task.features[0, 0])


class FakeFrontEnd:
    """Ten seconds a chunk, chunk n filled with the value n; then `silence` seconds in which nobody speaks."""

    def __init__(self, chunks: int, silence: int = 0) -> None:
        self._count = chunks
        self._silence = silence

    def load(self, source: BinaryIO) -> Samples:
        error = source.read()
        if error:
            raise AsrError(error.decode())
        return np.zeros((self._count * 10 + self._silence) * SAMPLE_RATE, np.float32)

    def chunks(self, samples: Samples) -> list[AudioChunk]:
        size = 10 * SAMPLE_RATE
        return [AudioChunk(np.full(size, n, np.float32), n * size, 9.0) for n in range(self._count)]


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
