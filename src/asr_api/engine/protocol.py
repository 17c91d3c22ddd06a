"""The boundary between the queue and whatever decodes: tasks in, one result or error for each out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asr_api.spectrogram import FRAMES, Features
from asr_api.transcription import SearchOptions, Task, TokenLogprob, Word

MAX_TOKENS = 224
"""Tokens that Whisper writes for one chunk at most: half of its 448 positions (openai/whisper, decoding.py)."""

LIKELIEST = 5
"""Languages of which the probability is told."""

LEAST_PROBABILITY = 1e-10
"""What a probability counts for at least, so that its logarithm is finite."""

WORKERS = 2
"""Engine calls in flight unless told otherwise: while one waits for memory or writes its text, the other computes.

On a CPU of two cores, with all of them for each call, they answer a third more than one does
(docs/performance.md, "Settings on a CPU").
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingOptions(SearchOptions):
    """What all tasks of one engine call must agree on; equal options may share a batch.

    CTranslate2 wants `<|startoftranscript|>` at one position (`prompt_length`) and one set of
    search options a call. Languages and tasks may be mixed, so they are not here. `max_tokens`
    bounds what is written. `audio_context` is what the encoder is given, in frames of 10 ms, an even
    number: the features of all tasks are filled up with silence to it.
    """

    temperature: float = 0.0
    prompt_length: int = 0
    max_tokens: int = MAX_TOKENS
    audio_context: int = FRAMES


@dataclass(frozen=True, slots=True, eq=False)
class DecodingTask:
    """One chunk to decode. `prompt` holds text token ids only; `language` None asks to detect it; `timestamps` asks
    for word times, `logprobs` for tokens' probabilities.
    """

    features: Features
    duration: float
    language: str | None
    task: Task
    prompt: tuple[int, ...]
    options: DecodingOptions
    timestamps: bool = False
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class DecodingResult:
    """What the engine read in one chunk; word times count from the start of the chunk.

    `languages` are the likeliest with their probabilities, where the language was detected.
    """

    text: str
    tokens: tuple[int, ...]
    language: str
    language_probability: float
    temperature: float
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    words: tuple[Word, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    languages: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What runs: the model's name and shape, and where and how it computes.

    `revision` is the model's on the hub, `library` the version of CTranslate2 and `fingerprint` that of the weights
    (models/calibrations.py), where they are known.
    """

    model: str
    device: str
    compute_type: str
    num_workers: int
    n_mels: int
    languages: tuple[str, ...]
    revision: str = ""
    library: str = ""
    fingerprint: str = ""


class Decoding(Protocol):
    """What of an `Engine` its own process needs."""

    @property
    def info(self) -> EngineInfo: ...
    def decode(self, tasks: Sequence[DecodingTask]) -> Sequence[DecodingResult | Exception]: ...


class Engine(Decoding, Protocol):
    """An engine of `info.num_workers` workers.

    It promises that `decode` may be called from as many threads as there are workers; that it
    returns one entry a task, in order; that an entry depends on its own task alone, whatever else
    is in the batch; and that a task it cannot decode is an exception in its place. An exception
    raised means that the whole call failed, EngineOutOfMemory that a smaller one may not. All
    tasks of a call have equal `options`.

    Callers never see this interface: they await `Submitter.submit` for one task (transcriber.py).
    So an engine that finishes tasks one by one (in-flight batching) can take the place of queue and
    engine together, by ending each task's future when that task is done.
    """

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Text token ids; never a control token, whatever the text says."""
        ...

    def close(self) -> None: ...
