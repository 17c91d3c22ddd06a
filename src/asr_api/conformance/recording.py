"""The audio that a check sends: a recording, the same in other containers, and the same again and again."""

import io
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.codec.codec import UnknownCodecError

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.conformance.verdict import CannotCheck, NotChecked
from asr_api.errors import InvalidAudio
from asr_api.selftest import Sample
from asr_api.transcription import SAMPLE_RATE, Samples

LIMITS = AudioLimits(max_seconds=120)
"""Of a recording: every check sends it, so that a long one would take hours."""

RATE = 48_000
"""Samples per second in the containers, for Opus has no 44,100."""

CODECS = {"wav": "pcm_s16le", "mp3": "libmp3lame", "m4a": "aac", "ogg": "libopus", "webm": "libopus", "flac": "flac"}
"""The codec that each file of OpenAI's list usually holds, by the end of its name."""

_CONTAINERS = {"m4a": "ipod"}


@dataclass(frozen=True, slots=True)
class Recording:
    """A file with its samples; `words` are what is said in it, None where nobody knows."""

    name: str
    content: bytes
    samples: Samples
    words: str | None = None

    @classmethod
    def of_sample(cls, sample: Sample) -> "Recording":
        return cls.of_file(Path(sample.path), sample.text)

    @classmethod
    def of_file(cls, path: Path, words: str | None = None) -> "Recording":
        """Raises CannotCheck where the file is no audio of two minutes at most."""
        try:
            content = path.read_bytes()
            return cls(path.name, content, decode_audio(io.BytesIO(content), LIMITS), words)
        except (OSError, InvalidAudio) as error:
            raise CannotCheck(f"{path} cannot be sent: {error}") from error

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @property
    def content_type(self) -> str:
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"

    def encoded(self, extension: str) -> "Recording":
        """The same words in the container that `extension`, one of CODECS, stands for.

        Raises NotChecked where this machine's FFmpeg does not write it.
        """
        try:
            content = _encoded(self.samples, extension)
        except (av.FFmpegError, UnknownCodecError) as error:
            raise NotChecked(f"no {extension} file can be made here: {error}") from error
        return Recording(f"speech.{extension}", content, self.samples, self.words)

    def repeated(self, times: int, period: float) -> "Recording":
        """A WAV file that says it so many times, beginning every `period` seconds, with silence between."""
        samples = np.zeros(round((times - 1) * period * SAMPLE_RATE) + len(self.samples), np.float32)
        for start in range(times):
            first = round(start * period * SAMPLE_RATE)
            samples[first : first + len(self.samples)] = self.samples
        words = None if self.words is None else " ".join([self.words] * times)
        return Recording("long.wav", _encoded(samples, "wav"), samples, words)


def _encoded(samples: Samples, extension: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=_CONTAINERS.get(extension, extension)) as container:
        stream = cast(AudioStream, container.add_stream(CODECS[extension], rate=RATE, layout="mono"))
        pcm = (samples * 32767).astype(np.int16)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        converter = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=RATE)
        for converted in [*converter.resample(frame), *converter.resample(None)]:
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return buffer.getvalue()
