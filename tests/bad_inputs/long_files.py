"""Audio that is longer, or shorter, than it looks: bombs of silence, forged frames, and bodies over the limit."""

import io
from collections.abc import Iterator
from functools import partial

import av
import numpy as np

from tests.audio.sounds import encoded, tone, wav

from .files import box, silence
from .row import (
    EMPTY,
    MAX_BYTES,
    MAX_SECONDS,
    NOTHING_SAID,
    TOO_LARGE,
    TOO_LONG,
    TOO_SHORT,
    UNKNOWN,
    UNREADABLE,
    Row,
    refused,
    upload,
)

BOMBS = {
    "flac, twenty minutes": ("flac", "flac", 8_000, 1200),
    "flac at 4 kHz, twenty minutes": ("flac", "flac", 4_000, 1200),
    "opus, 70 s": ("ogg", "libopus", 48_000, 70),
    "webm opus, 70 s": ("webm", "libopus", 48_000, 70),
    "alac, two minutes": ("ipod", "alac", 8_000, 120),
    "aac, ten minutes": ("adts", "aac", 8_000, 600),
    "m4a, ten minutes": ("ipod", "aac", 8_000, 600),
    "mp3, two minutes": ("mp3", "mp3", 8_000, 120),
    "amr, 70 s": ("amr", "libopencore_amrnb", 8_000, 70),
    "mkv flac, twenty minutes": ("matroska", "flac", 8_000, 1200),
    "ogg flac, twenty minutes": ("ogg", "flac", 8_000, 1200),
    "61 s of wav": ("wav", "pcm_u8", 8_000, MAX_SECONDS + 1),
    "61 s of aiff": ("aiff", "pcm_mulaw", 8_000, MAX_SECONDS + 1),
    "61 s of caf": ("caf", "pcm_alaw", 8_000, MAX_SECONDS + 1),
    "61 s of mp2": ("mp2", "mp2", 16_000, MAX_SECONDS + 1),
    "61 s of 3gp": ("3gp", "libopencore_amrnb", 8_000, MAX_SECONDS + 1),
    "61 s of mov": ("mov", "pcm_mulaw", 8_000, MAX_SECONDS + 1),
}


def bombs() -> Iterator[Row]:
    for name, (container, codec, rate, seconds) in BOMBS.items():
        yield upload(f"too long: {name}", partial(silence, container, codec, rate, seconds), TOO_LONG)
    one_more = bytes(MAX_SECONDS * 16_000 + 1)
    yield upload("too long: 60 s and a sample", partial(wav, one_more, bits=8), TOO_LONG)
    yield upload("60 s, the limit", partial(wav, b"\x80" * MAX_SECONDS * 16_000, bits=8), NOTHING_SAID)
    yield upload("too long: mp3 that says it lasts a second", understated, TOO_LONG)


def understated() -> bytes:
    """An MP3 of 61 s with a Xing header that counts 38 frames."""
    data = silence("mp3", "mp3", 16_000, MAX_SECONDS + 1)
    place = max(data.find(b"Xing"), data.find(b"Info"))
    return data[: place + 8] + (38).to_bytes(4, "big") + data[place + 12 :]


SHORT = {
    "wav": ("wav", "pcm_s16le", 16_000),
    "aiff": ("aiff", "pcm_s16be", 16_000),
    "caf": ("caf", "pcm_s16be", 16_000),
    "flac": ("flac", "flac", 16_000),
    "mov": ("mov", "pcm_s16le", 16_000),
    "mkv": ("matroska", "pcm_s16le", 16_000),
    "w64": ("w64", "pcm_s16le", 16_000),
    "alac": ("ipod", "alac", 16_000),
}


def shorts() -> Iterator[Row]:
    for name, (container, codec, rate) in SHORT.items():
        for count in (1, 1_000, 1_596):
            few = partial(encoded, container, codec, rate, pcm=tone(1.0)[:count])
            yield upload(f"too short: {count} samples of {name}", few, TOO_SHORT)


def frames() -> Iterator[Row]:
    yield upload("a frame of 31 s", partial(one_packet, 31), refused("corrupt_audio", "frame longer than 30 s"))
    yield upload("a frame of 29 s", partial(one_packet, 29), NOTHING_SAID)
    yield upload("no byte", bytes, EMPTY)
    yield upload("one byte", lambda: b"\0", UNKNOWN)
    yield upload("1,900 kB of silence at 384 kHz", partial(wav, bytes(1_900_000), rate=384_000), NOTHING_SAID)
    yield upload("body over the limit", lambda: wav(bytes(MAX_BYTES)), TOO_LARGE)
    yield upload("body over the limit, of garbage", lambda: b"\xff" * MAX_BYTES, TOO_LARGE)
    yield upload(
        "film of free space", lambda: box(b"ftyp", b"M4A \0\0\0\0") + box(b"free", bytes(1_900_000)), UNREADABLE
    )


def one_packet(seconds: int) -> bytes:
    """A Matroska file with all of its silence in one packet."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        stream = output.add_stream("pcm_u8", rate=4_000, layout="mono")
        packet = av.Packet(bytes(np.full(4_000 * seconds, 128, np.uint8)))
        packet.stream, packet.pts, packet.dts = stream, 0, 0
        output.mux(packet)
    return target.getvalue()


ROWS = [*bombs(), *shorts(), *frames()]
