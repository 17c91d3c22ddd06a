"""The steps that cost CPU time before the queue, behind one object."""

from typing import BinaryIO

from asr_api.audio.chunking import split
from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.audio.speech import SpeechDetector
from asr_api.transcription import AudioChunk, Samples


class AudioFrontEnd:
    """Blocking, and safe to call from several threads; the service runs it in its audio threads.

    Features are not built here but for each chunk when its turn comes, by LogMel, so that an hour
    of audio never holds all of them.
    """

    def __init__(self, limits: AudioLimits, detector: SpeechDetector) -> None:
        self._limits = limits
        self._detector = detector

    def load(self, source: BinaryIO) -> Samples:
        """The samples of an uploaded file. Raises InvalidAudio."""
        return decode_audio(source, self._limits)

    def chunks(self, samples: Samples) -> list[AudioChunk]:
        """Chunks of at most 30 s that hold all speech; none where nobody speaks."""
        return split(samples, self._detector.detect(samples))
