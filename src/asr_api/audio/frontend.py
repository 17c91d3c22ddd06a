"""The steps from a file to features, one block after the other: what runs in a decode worker."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import as_file, files
from typing import BinaryIO

import av

from asr_api.audio.chunking import Chunker
from asr_api.audio.decoding import AudioLimits, open_audio
from asr_api.audio.features import LogMel
from asr_api.audio.messages import Event, Opened, Order, Progress
from asr_api.audio.speech import SpeechDetector
from asr_api.transcription import SAMPLE_RATE, AudioChunk, AudioOptions, ChunkPlace, FeatureChunk


class AudioFrontEnd:
    """Blocking. Memory does not grow with the length of the audio."""

    def __init__(self, detector: SpeechDetector, log_mel: Callable[[int], LogMel]) -> None:
        """`log_mel` makes the features of a model with so many mels."""
        self._detector = detector
        self._log_mel = log_mel

    def __call__(self, source: BinaryIO, order: Order) -> Iterator[Event]:
        """What the file says it is, then its chunks in order, with word of each block that was decoded.

        Raises InvalidAudio, which may be after chunks: a file can go bad at its end.
        """
        log_mel, options = self._log_mel(order.n_mels), order.options
        chunker = Chunker(self._detector, options)
        limits = AudioLimits(max_seconds=order.max_seconds)
        decoded = 0
        with open_audio(source, limits, denoise=options.denoise) as audio:
            yield Opened(audio.claimed_seconds)
            for block in audio.blocks():
                decoded += len(block)
                yield from (_featured(chunk, log_mel) for chunk in chunker.push(block))
                yield Progress(decoded / SAMPLE_RATE)
            yield from (_featured(chunk, log_mel) for chunk in chunker.finish())


def _featured(chunk: AudioChunk, log_mel: LogMel) -> FeatureChunk:
    place = ChunkPlace(chunk.offset, len(chunk.samples), chunk.voiced, chunk.speech)
    return FeatureChunk(place, log_mel.heard(chunk.samples))


def load_front_end() -> AudioFrontEnd:
    """A front end whose every part has been used once, so that nothing is left to be imported."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)  # PyAV itself imports some of them when a file has, say, subtitles
    front_end = AudioFrontEnd(SpeechDetector.load(), cache(LogMel))
    everything = AudioOptions(denoise=True, normalize=True)
    order = Order(options=everything, n_mels=80, max_seconds=60, descriptor=False)
    with as_file(files("asr_api.samples") / "jfk.flac") as path, path.open("rb") as recording:
        for _ in front_end(recording, order):
            pass
    return front_end
