"""What the service and its engine process say to each other: JSON, checked as it is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import ConfigDict, TypeAdapter

from asr_api.engine.arena import ArenaShape
from asr_api.engine.protocol import DecodingOptions, DecodingResult, DecodingTask, EngineInfo
from asr_api.errors import EngineFailure, EngineOutOfMemory
from asr_api.spectrogram import Features
from asr_api.transcription import Task

MAX_MESSAGE = 16 << 20
"""Bytes of a message at most: 64 chunks with words and probabilities of all their tokens take 1 MB."""

FATAL_EXIT_CODE = 70
"""What an engine process ends with after an EngineFatal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePlan:
    """What an engine process loads, and how: `WhisperEngine`'s arguments."""

    folder: str
    name: str
    revision: str | None
    device: str
    device_index: tuple[int, ...]
    compute_type: str
    num_workers: int
    cpu_threads: int
    max_encode_batch: int
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model is loaded."""

    info: EngineInfo
    kind: Literal["loaded"] = "loaded"


@dataclass(frozen=True, slots=True)
class Unloadable:
    """The model cannot be loaded, and the process ends."""

    message: str
    kind: Literal["unloadable"] = "unloadable"


@dataclass(frozen=True, slots=True)
class Lanes:
    """So many sockets and arenas follow, a pair of descriptors for each call that may run at a time."""

    count: int
    shape: ArenaShape


@dataclass(frozen=True, slots=True)
class TaskHead:
    """A DecodingTask but for its features, which are in the arena: so many `frames`."""

    frames: int
    duration: float
    language: str | None
    task: Task
    prompt: tuple[int, ...]
    timestamps: bool
    logprobs: bool

    @classmethod
    def of(cls, task: DecodingTask) -> Self:
        return cls(
            task.features.shape[1],
            task.duration,
            task.language,
            task.task,
            task.prompt,
            task.timestamps,
            task.logprobs,
        )

    def with_features(self, features: Features, options: DecodingOptions) -> DecodingTask:
        return DecodingTask(
            features, self.duration, self.language, self.task, self.prompt, options, self.timestamps, self.logprobs
        )


@dataclass(frozen=True, slots=True)
class Call:
    """Tasks whose features are in the arena, in this order. `number` is that of the answer which is wanted."""

    number: int
    options: DecodingOptions
    tasks: tuple[TaskHead, ...]

    @classmethod
    def of(cls, number: int, tasks: Sequence[DecodingTask]) -> Self:
        return cls(number, tasks[0].options, tuple(map(TaskHead.of, tasks)))

    @property
    def frames(self) -> list[int]:
        return [head.frames for head in self.tasks]

    def with_features(self, features: Sequence[Features]) -> list[DecodingTask]:
        return [head.with_features(one, self.options) for one, head in zip(features, self.tasks, strict=True)]


@dataclass(frozen=True, slots=True)
class Failed:
    """A task, or a whole call, that failed."""

    message: str
    code: str
    out_of_memory: bool = False

    @classmethod
    def of(cls, error: Exception) -> Self:
        """What is not ours is only said to have happened: its words are for the log."""
        if isinstance(error, EngineFailure):
            return cls(error.message, error.code, isinstance(error, EngineOutOfMemory))
        return cls("the engine failed on this audio", EngineFailure.default_code)

    def error(self) -> EngineFailure:
        return (EngineOutOfMemory if self.out_of_memory else EngineFailure)(self.message, code=self.code)


@dataclass(frozen=True, slots=True)
class Answer:
    """One entry a task; or, where the whole call failed, `failed`. A `fatal` failure ends the process.

    `number` is that of the call, so that no answer is ever taken for one to another call.
    """

    number: int
    results: tuple[DecodingResult | Failed, ...] = ()
    failed: Failed | None = None
    fatal: bool = False


PLAN = TypeAdapter(EnginePlan)
LANES = TypeAdapter(Lanes)
STARTED: TypeAdapter[Loaded | Unloadable] = TypeAdapter(Loaded | Unloadable)
CALL = TypeAdapter(Call)
ANSWER: TypeAdapter[tuple[Answer]] = TypeAdapter(
    tuple[Answer],  # pydantic takes no config for a dataclass itself, only for what holds one
    config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants"),
)
