"""The service's own front end and engine without the service: what a batch job would get."""

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from asr_api.assembly import load
from asr_api.audio.chunking import Chunker
from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.audio.features import LogMel
from asr_api.audio.speech import SpeechDetector
from asr_api.engine.protocol import DecodingOptions, DecodingResult, DecodingTask, Engine
from asr_api.fallback import Thresholds
from asr_api.settings import Settings
from asr_api.spectrogram import Features
from asr_api.transcription import AudioChunk, AudioOptions, Samples

from .recordings import Recording


@dataclass(frozen=True, slots=True)
class Steps:
    """Seconds of each step for one recording, each alone in one thread but for the engine's own."""

    decode_audio: float
    find_speech: float
    features: float
    engine: float

    @property
    def front_end(self) -> float:
        return self.decode_audio + self.find_speech + self.features


@dataclass(frozen=True, slots=True)
class Offline:
    """An engine loaded as the service loads it."""

    engine: Engine
    limits: AudioLimits
    detector: SpeechDetector
    log_mel: LogMel
    beam_size: int

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Raises ModelUnavailable."""
        engine, _ = load(settings, None)
        detector = SpeechDetector.load(threshold=settings.vad_threshold)
        limits = AudioLimits(settings.max_audio_seconds)
        return cls(engine, limits, detector, LogMel(engine.info.n_mels), settings.beam_size)

    def samples(self, recording: Recording) -> Samples:
        return decode_audio(recording.file, self.limits)

    def chunk(self, samples: Samples) -> AudioChunk:
        """The one chunk. Raises ValueError where there is none, or more."""
        chunker = Chunker(self.detector, AudioOptions())
        (chunk,) = [*chunker.push(samples), *chunker.finish()]
        return chunk

    def features(self, chunk: AudioChunk) -> Features:
        return self.log_mel.heard(chunk.samples)

    def task(self, recording: Recording) -> DecodingTask:
        """The one chunk of a recording. Raises ValueError where it has none, or more."""
        chunk = self.chunk(self.samples(recording))
        options = DecodingOptions(beam_size=self.beam_size)
        return DecodingTask(self.features(chunk), chunk.duration, None, "transcribe", (), options)

    def decode(self, tasks: Sequence[DecodingTask]) -> list[DecodingResult]:
        results: list[DecodingResult] = []
        for result in self.engine.decode(tasks):
            if isinstance(result, Exception):
                raise result
            results.append(result)
        return results

    def reads_at_once(self, task: DecodingTask) -> bool:
        """Whether the service would take the first decoding, and not try another temperature."""
        (result,) = self.decode([task])
        return Thresholds().failure(result) is None

    def steps(self, recording: Recording) -> Steps:
        clock = [time.perf_counter()]
        samples = self.samples(recording)
        clock.append(time.perf_counter())
        chunk = self.chunk(samples)
        clock.append(time.perf_counter())
        features = self.features(chunk)
        clock.append(time.perf_counter())
        options = DecodingOptions(beam_size=self.beam_size)
        self.decode([DecodingTask(features, chunk.duration, None, "transcribe", (), options)])
        clock.append(time.perf_counter())
        return Steps(*(after - before for before, after in itertools.pairwise(clock)))

    def full_batches(self, batches: Sequence[Sequence[DecodingTask]]) -> float:
        """Seconds for all batches, by as many threads as the engine has workers."""
        with ThreadPoolExecutor(self.engine.info.num_workers) as workers:
            began = time.perf_counter()
            list(workers.map(self.decode, batches))
            return time.perf_counter() - began
