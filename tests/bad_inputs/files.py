"""Files of many kinds made on the spot, and the ways to spoil them."""

import io
import struct
from collections.abc import Sequence
from functools import cache, partial

import av
import numpy as np

from tests.audio.sounds import encoded, tone

from .row import Make

SECOND = tone(1).tobytes()
"""A second of A4, 16 kHz mono, 16 bits."""

GARBAGE = np.random.default_rng(7).bytes(100_000)

KINDS = {
    "wav": ("wav", "pcm_s16le", 44_100),
    "w64": ("w64", "pcm_s16le", 44_100),
    "aiff": ("aiff", "pcm_s16be", 44_100),
    "caf": ("caf", "pcm_s16be", 44_100),
    "amr": ("amr", "libopencore_amrnb", 8_000),
    "aac": ("adts", "aac", 44_100),
    "flac": ("flac", "flac", 44_100),
    "mp3": ("mp3", "mp3", 44_100),
    "mp2": ("mp2", "mp2", 44_100),
    "opus": ("ogg", "libopus", 48_000),
    "ogg flac": ("ogg", "flac", 44_100),
    "m4a": ("ipod", "aac", 44_100),
    "alac": ("ipod", "alac", 44_100),
    "mov": ("mov", "pcm_s16le", 44_100),
    "3gp": ("3gp", "libopencore_amrnb", 8_000),
    "mpeg": ("mpeg", "mp2", 44_100),
    "webm": ("webm", "libopus", 48_000),
    "mkv": ("matroska", "flac", 44_100),
    "mkv pcm": ("matroska", "pcm_s16le", 44_100),
}
"""Container, codec and rate of what is served."""


@cache
def sound(kind: str, seconds: float = 2.0) -> bytes:
    """A whole file of one of `KINDS`, with a tone."""
    container, codec, rate = KINDS[kind]
    return encoded(container, codec, rate, seconds=seconds)


def silence(container: str, codec: str, rate: int, seconds: float) -> bytes:
    """A file with zeros alone."""
    return encoded(container, codec, rate, pcm=np.zeros(round(seconds * rate), np.int16))


def cut(kind: str, share: float) -> Make:
    """The first part of five seconds."""
    return lambda: sound(kind, 5.0)[: round(share * len(sound(kind, 5.0)))]


def first(kind: str, size: int) -> Make:
    """The first bytes of a file, or all but its last where `size` is negative."""
    return lambda: sound(kind)[:size]


def spoilt(kind: str, begin: float, end: float, seconds: float = 5.0) -> Make:
    """A file with garbage between two places, as shares of its length."""
    return partial(_spoilt, kind, begin, end, seconds)


def _spoilt(kind: str, begin: float, end: float, seconds: float) -> bytes:
    data = bytearray(sound(kind, seconds))
    where = slice(round(begin * len(data)), round(end * len(data)))
    data[where] = GARBAGE[: len(data[where])]
    return bytes(data)


def patched(kind: str, marker: bytes, offset: int, value: bytes) -> Make:
    """A file with other bytes at a distance from where a marker first stands."""
    return partial(_patched, kind, marker, offset, value)


def _patched(kind: str, marker: bytes, offset: int, value: bytes) -> bytes:
    data = bytearray(sound(kind))
    place = data.index(marker) + offset
    data[place : place + len(value)] = value
    return bytes(data)


def muxed(container: str, codec: str, rate: int = 44_100, layout: str = "mono", video: str | None = None) -> Make:
    """A second of a tone in a container that libavformat writes."""
    return partial(encoded, container, codec, rate, layout, video=video)


def picture(container: str, codec: str, pixels: str = "yuv420p", size: int = 64) -> bytes:
    """A video without sound."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = size, size, pixels
        frame = av.VideoFrame(size, size, "yuv420p").reformat(format=pixels)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return target.getvalue()


def chunk(name: bytes, data: bytes, claim: int | None = None) -> bytes:
    """A RIFF chunk, whose size may lie."""
    return name + struct.pack("<I", len(data) if claim is None else claim) + data + b"\0" * (len(data) % 2)


def riff(*chunks: bytes, claim: int | None = None, form: bytes = b"WAVE", magic: bytes = b"RIFF") -> bytes:
    return chunk(magic, form + b"".join(chunks), claim)


def fmt(
    tag: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    align: int = 2,
    byte_rate: int = 32_000,
    extra: bytes = b"",
) -> bytes:
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, byte_rate, align, bits) + extra)


def iff(*chunks: tuple[bytes, bytes], form: bytes = b"AIFF") -> bytes:
    """An IFF file: big-endian chunks, as AIFF has them."""
    body = form + b"".join(name + struct.pack(">I", len(data)) + data for name, data in chunks)
    return b"FORM" + struct.pack(">I", len(body)) + body


def box(name: bytes, *content: bytes, claim: int | None = None) -> bytes:
    """An MP4 box, whose size may lie."""
    data = b"".join(content)
    return struct.pack(">I", 8 + len(data) if claim is None else claim) + name + data


def nested(open_: bytes, close: bytes, depth: int, core: bytes = b"") -> bytes:
    return open_ * depth + core + close * depth


def joined(*makers: Make | bytes) -> Make:
    """Files one behind the other."""
    return partial(_joined, makers)


def _joined(makers: Sequence[Make | bytes]) -> bytes:
    return b"".join(make if isinstance(make, bytes) else make() for make in makers)
