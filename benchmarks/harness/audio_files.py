"""Long recordings of real speech, in formats that people upload."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.transcription import SAMPLE_RATE, Samples

from .clips import Clip, draw
from .recordings import fill


@dataclass(frozen=True, slots=True)
class Format:
    """libav's names of container and encoder, samples a second, and bits a second where that is a choice."""

    name: str
    container: str
    encoder: str
    rate: int
    bit_rate: int | None = None


FORMATS = (
    Format("wav", "wav", "pcm_s16le", SAMPLE_RATE),
    Format("mp3", "mp3", "libmp3lame", 44_100, 64_000),
    Format("opus", "ogg", "libopus", 48_000, 24_000),
)


@dataclass(frozen=True, slots=True)
class Sound:
    """A file on disk and the seconds of audio in it."""

    format: Format
    path: Path
    seconds: float

    @property
    def label(self) -> str:
        return f"{self.format.name}, {self.seconds / 60:.0f} min"


def speech(clips: Sequence[Clip], seconds: float, seed: int) -> Samples:
    """Clips one after the other with a pause after each, at most so many seconds; the seed decides the order."""
    sounds = {clip.path: _samples(clip) for clip in clips}
    times = math.ceil(seconds / sum(clip.seconds for clip in clips)) + 1
    return fill((sounds[clip.path] for clip in draw(clips, times * len(clips), seed)), seconds)


def encode(samples: Samples, form: Format, path: Path) -> Sound:
    """Write the samples, mono, to a new file."""
    with av.open(str(path), "w", format=form.container) as container:
        stream = container.add_stream(form.encoder, rate=form.rate)
        assert isinstance(stream, AudioStream)
        stream.layout = "mono"
        if form.bit_rate:
            stream.bit_rate = form.bit_rate
        for frame in _frames(samples):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Sound(form, path, len(samples) / SAMPLE_RATE)


def looped(sound: Sound, seconds: float, path: Path) -> Sound:
    """A new file with the packets of another again and again, until it is so long; nothing is encoded."""
    with av.open(str(path), "w", format=sound.format.container) as container:
        with av.open(str(sound.path)) as first:
            stream = container.add_stream_from_template(first.streams.audio[0])
        for packet in _packets(sound.path, seconds):
            packet.stream = stream
            container.mux(packet)
    return Sound(sound.format, path, seconds)


def _frames(samples: Samples) -> Iterator[AudioFrame]:
    """A second each."""
    whole = (samples * 32767).astype(np.int16)[None]
    for start in range(0, whole.shape[1], SAMPLE_RATE):
        piece = np.ascontiguousarray(whole[:, start : start + SAMPLE_RATE])
        frame = AudioFrame.from_ndarray(piece, format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), start
        yield frame


def _packets(path: Path, seconds: float) -> "Iterator[Packet[AudioStream]]":
    """Each turn begins where the one before ended; an Opus file begins before zero."""
    with av.open(str(path)) as container:
        first, base = next((packet.pts or 0, packet.time_base) for packet in container.demux(audio=0))
    end = first
    while True:
        shift = end - first
        for packet, pts, duration in _turn(path):
            if (pts + shift) * base >= seconds:
                return
            packet.pts = packet.dts = pts + shift
            end = packet.pts + duration
            yield packet


def _turn(path: Path) -> "Iterator[tuple[Packet[AudioStream], int, int]]":
    """The packets of a file with their place and length."""
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.audio[0]):
            if packet.pts is not None and packet.duration is not None:  # the last has no content
                yield packet, packet.pts, packet.duration


def _samples(clip: Clip) -> Samples:
    with clip.path.open("rb") as file:
        return decode_audio(file, AudioLimits(max_seconds=clip.seconds + 1))
