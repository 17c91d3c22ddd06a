"""The front end and faster-whisper's own, step by step, in one process and one thread."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from faster_whisper.audio import decode_audio as their_decode_audio
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps
from numpy.typing import NDArray

from asr_api.audio.chunking import Chunker
from asr_api.audio.decoding import AudioLimits, decode_audio, open_audio
from asr_api.audio.features import LogMel
from asr_api.audio.speech import SpeechDetector, SpeechSpan
from asr_api.spectrogram import padded
from asr_api.transcription import CHUNK_SECONDS, SAMPLE_RATE, AudioChunk, AudioOptions, Samples

from .audio_files import Sound

Value = TypeVar("Value")

LIMITS = AudioLimits(max_seconds=24 * 3600)
THEIR_VAD = VadOptions(max_speech_duration_s=CHUNK_SECONDS, min_silence_duration_ms=160)
"""Those of faster-whisper's batched pipeline (transcribe.py), where nobody says anything else."""

TOLERANCE = 1e-3
"""How far a feature may be from faster-whisper's."""


@dataclass(slots=True)
class Stages:
    """Processor seconds of each step, kernel and all threads included."""

    decode: float = 0.0
    speech: float = 0.0
    mel: float = 0.0
    whole_mel: float | None = None

    @property
    def total(self) -> float:
        return self.decode + self.speech + self.mel


@dataclass(slots=True)
class Heard:
    """What one side made of a file: its steps, and how many chunks with how many seconds of audio."""

    stages: Stages = field(default_factory=Stages)
    chunks: int = 0
    seconds: float = 0.0

    def decode(self, work: Callable[[], Value]) -> Value:
        value, cpu = clocked(work)
        self.stages.decode += cpu
        return value

    def speech(self, work: Callable[[], Value]) -> Value:
        value, cpu = clocked(work)
        self.stages.speech += cpu
        return value

    def mel(self, features: Callable[[Samples], object], samples: Samples) -> None:
        self.stages.mel += clocked(partial(features, samples))[1]
        self.chunks += 1
        self.seconds += len(samples) / SAMPLE_RATE


def clocked(work: Callable[[], Value]) -> tuple[Value, float]:
    """What it returns, and the processor seconds of this process that it took."""
    began = time.process_time()
    value = work()
    return value, time.process_time() - began


class Ours:
    """The steps as a decode worker takes them: block by block."""

    def __init__(self, n_mels: int) -> None:
        self.detector = SpeechDetector.load()
        self.log_mel = LogMel(n_mels)

    def hear(self, path: Path) -> Heard:
        heard = Heard()
        chunker = Chunker(self.detector, AudioOptions())
        with path.open("rb") as file, ExitStack() as stack:
            audio = heard.decode(lambda: stack.enter_context(open_audio(file, LIMITS)))
            blocks = audio.blocks()
            while (block := heard.decode(partial(next, blocks, None))) is not None:
                self._features(heard, heard.speech(partial(chunker.push, block)))
            self._features(heard, heard.speech(chunker.finish))
        return heard

    def _features(self, heard: Heard, chunks: list[AudioChunk]) -> None:
        for chunk in chunks:
            heard.mel(self.log_mel.heard, chunk.samples)


class Theirs:
    """The steps as faster-whisper's pipelines take them: the whole file, one step after the other.

    Features are made of each chunk, as by its batched pipeline, and once more of the whole file, as by
    its sequential one. What both do to fill a batch is left out.
    """

    def __init__(self, n_mels: int) -> None:
        self.extractor = FeatureExtractor(feature_size=n_mels)

    def hear(self, path: Path) -> Heard:
        heard = Heard()
        with path.open("rb") as file:
            samples = heard.decode(partial(their_decode_audio, file))
        for chunk in heard.speech(partial(_their_chunks, samples)):
            heard.mel(self.extractor, chunk)
        heard.stages.whole_mel = clocked(partial(self.extractor, samples))[1]
        return heard


def _their_chunks(samples: Samples) -> list[Samples]:
    spans = get_speech_timestamps(samples, THEIR_VAD)
    chunks: list[Samples] = collect_chunks(samples, spans, max_duration=CHUNK_SECONDS)[0]
    return chunks


@dataclass(frozen=True, slots=True)
class Turn:
    """One file heard by both in one round."""

    sound: Sound
    ours: Heard
    theirs: Heard


def take_turns(sounds: Sequence[Sound], ours: Ours, theirs: Theirs, rounds: int) -> Iterator[Turn]:
    """Each file by both, one after the other; another side begins in each round."""
    for number in range(rounds):
        for sound in sounds:
            if number % 2:
                second, first = theirs.hear(sound.path), ours.hear(sound.path)
                yield Turn(sound, first, second)
            else:
                yield Turn(sound, ours.hear(sound.path), theirs.hear(sound.path))


@dataclass(frozen=True, slots=True)
class Likeness:
    """How far the results are apart, each step given the same input but for the samples, which are each side's own.

    `shift_ms` is the largest distance from where a span begins or ends to where the nearest of the other side does.
    """

    file: str
    samples: int
    missing_samples: int
    sample_difference: float
    spans: int
    different_spans: int
    shift_ms: float
    chunks: int
    feature_difference: float

    @property
    def equal(self) -> bool:
        same = not (self.missing_samples or self.sample_difference or self.different_spans)
        return same and self.feature_difference <= TOLERANCE


def compare(sound: Sound, ours: Ours, theirs: Theirs) -> Likeness:
    """Hear a file once more, on both sides, and compare all that comes out."""
    with sound.path.open("rb") as source:
        samples = decode_audio(source, LIMITS)
        source.seek(0)
        others: Samples = their_decode_audio(source)
    spans = ours.detector.detect(samples)
    their_spans = [SpeechSpan(span["start"], span["end"]) for span in get_speech_timestamps(others, THEIR_VAD)]
    chunker = Chunker(ours.detector, AudioOptions())
    chunks = [*chunker.push(samples), *chunker.finish()]
    both = min(len(samples), len(others))
    return Likeness(
        file=sound.label,
        samples=len(samples),
        missing_samples=abs(len(samples) - len(others)),
        sample_difference=float(np.abs(samples[:both] - others[:both]).max(initial=0)),
        spans=len(spans),
        different_spans=len(set(spans) ^ set(their_spans)),
        shift_ms=1000 * largest_shift(spans, their_spans) / SAMPLE_RATE,
        chunks=len(chunks),
        feature_difference=max((feature_difference(chunk, ours, theirs) for chunk in chunks), default=0.0),
    )


def largest_shift(spans: Sequence[SpeechSpan], others: Sequence[SpeechSpan]) -> float:
    """Samples from an edge to the nearest edge of the other list, at most; infinite where only one has any."""
    edges, others_edges = _edges(spans), _edges(others)
    if not spans or not others:
        return 0.0 if len(spans) == len(others) else float("inf")
    return max(_furthest(edges, others_edges), _furthest(others_edges, edges))


def _edges(spans: Sequence[SpeechSpan]) -> NDArray[np.int64]:
    return np.array([edge for span in spans for edge in (span.start, span.end)], np.int64)


def _furthest(edges: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    return max(float(np.abs(others - edge).min()) for edge in edges)


def feature_difference(chunk: AudioChunk, ours: Ours, theirs: Theirs) -> float:
    """Of what the engine would get of a chunk, and faster-whisper's features of it padded with silence to 30 s."""
    silence = CHUNK_SECONDS * SAMPLE_RATE - len(chunk.samples)
    expected = theirs.extractor(np.pad(chunk.samples, (0, silence)), padding=0)
    features = padded(ours.log_mel.heard(chunk.samples), np.float32)
    return float(np.abs(features - expected).max())
