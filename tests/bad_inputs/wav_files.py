"""WAV and Wave64 files whose headers lie, lack something or go on for ever."""

import struct
from collections.abc import Iterator
from functools import partial

import numpy as np

from tests.audio.sounds import tone, wav

from .files import SECOND, chunk, first, fmt, riff, sound
from .row import (
    CODEC,
    CORRUPT,
    EMPTY,
    NOTHING_SAID,
    TOO_SHORT,
    UNKNOWN,
    UNREADABLE,
    WRONG_CHANNELS,
    WRONG_RATE,
    Answer,
    Make,
    Row,
    refused,
    upload,
    uploads,
)

DATA = chunk(b"data", SECOND)
PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def extensible(guid: bytes, mask: int = 4) -> bytes:
    return fmt(0xFFFE, extra=struct.pack("<HHI", 22, 16, mask) + guid)


def rates() -> Iterator[Row]:
    for rate in (1, 7, 3_999, 384_001, 655_350, 2**31 - 1):
        says = rf"^The sample rate of the file is {rate} Hz; 4000 to 384000 Hz are supported\.$"
        yield upload(f"wav rate: {rate}", partial(wav, SECOND, rate=rate), refused("unsupported_sample_rate", says))
    for rate in (0, 2**31, 2**32 - 1):
        yield upload(f"wav rate: {rate}", partial(wav, SECOND, rate=rate), UNREADABLE)
    for rate in (4_000, 384_000):
        yield upload(f"wav rate: {rate}, the limit", partial(wav, tone(1, rate).tobytes(), rate=rate), NOTHING_SAID)


def channels() -> Iterator[Row]:
    for count in (0, 9, 64, 255):
        says = rf"^The audio of the file has {count} channels; 1 to 8 are supported\.$"
        yield upload(
            f"wav channels: {count}", partial(wav, SECOND, channels=count), refused("unsupported_channels", says)
        )
    yield upload("wav channels: 65535", partial(wav, SECOND, channels=65_535), WRONG_CHANNELS)
    legal = partial(wav, np.repeat(tone(0.5), 8).tobytes(), channels=8)
    yield upload("wav channels: 8, the limit", legal, NOTHING_SAID)


def samples() -> Iterator[Row]:
    for bits, answer in {0: CODEC, 1: NOTHING_SAID, 7: NOTHING_SAID, 12: NOTHING_SAID, 40: CODEC, 255: CODEC}.items():
        yield upload(f"wav bits: {bits}", riff(fmt(bits=bits), DATA), answer)
    for align in (0, 1, 3, 65_535):
        yield upload(f"wav block align: {align}", riff(fmt(align=align), DATA), NOTHING_SAID)
    for rate in (0, 1, 2**32 - 1):
        yield upload(f"wav byte rate: {rate}", riff(fmt(byte_rate=rate), DATA), NOTHING_SAID)
    for kind, bits in (("<f4", 32), ("<f8", 64)):
        wild = np.tile(np.array([np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-40, 0.5], kind), 3000).tobytes()
        yield upload(f"wav floats of {bits} bits beyond reason", partial(wav, wild, bits=bits, tag=3), Answer(200))


TAGS = {
    0x0000: CODEC,  # unknown
    0x0002: CORRUPT,  # ADPCM without its coefficients
    0x0031: WRONG_CHANNELS,  # GSM with a block that is none
    0x0042: CODEC,  # G.723
    0x0045: CODEC,  # G.726
    0x0050: CORRUPT,  # MPEG layer 2
    0x0055: CORRUPT,  # MP3
    0x0075: CODEC,  # VoxWare
    0x00FF: CORRUPT,  # AAC
    0x0161: CODEC,  # WMA 2
    0x0270: CODEC,  # ATRAC3
    0x1602: WRONG_RATE,  # AAC in LATM
    0x2000: CORRUPT,  # AC-3
    0x2001: CODEC,  # DTS
    0x674F: CODEC,  # Vorbis
    0xF1AC: EMPTY,  # FLAC
    0xFFFF: CODEC,
}


def tags() -> Iterator[Row]:
    for tag, answer in TAGS.items():
        yield upload(f"wav tag: 0x{tag:04x} over PCM", riff(fmt(tag), DATA), answer)
    yield upload("wav tag: extensible, PCM", riff(extensible(PCM_GUID), DATA), NOTHING_SAID)
    yield upload("wav tag: extensible, unknown GUID", riff(extensible(b"\xab" * 16), DATA), CODEC)
    yield upload("wav tag: extensible, cut off", riff(fmt(0xFFFE, extra=b"\x16\0"), DATA), CODEC)
    yield upload("wav tag: extensible, 31 speakers", riff(extensible(PCM_GUID, 2**31 - 1), DATA), NOTHING_SAID)


def layouts() -> Iterator[Row]:
    yield from uploads(
        "wav",
        {
            "no fmt": riff(DATA),
            "no chunk at all": riff(),
            "fmt of 4 bytes": riff(chunk(b"fmt ", b"\1\0\1\0"), DATA),
            "fmt of no byte": riff(chunk(b"fmt ", b""), DATA),
            "fmt claims 4 GB": riff(chunk(b"fmt ", fmt()[8:], 2**32 - 1), DATA),
        },
        UNREADABLE,
    )
    yield upload("wav: of another form", riff(fmt(), DATA, form=b"WAVX"), UNKNOWN)
    yield upload("wav: no data chunk", riff(fmt()), UNREADABLE)
    yield upload("wav: data of no byte", riff(fmt(), chunk(b"data", b"")), EMPTY)
    yield upload("wav: data of one byte", riff(fmt(), chunk(b"data", b"x")), CORRUPT)
    yield upload("wav: one sample", partial(wav, SECOND[:2]), TOO_SHORT)
    yield upload("wav: ten samples at 8 kHz", partial(wav, SECOND[:20], rate=8_000), TOO_SHORT)
    yield upload("wav: 0.0999 s", partial(wav, SECOND[: 2 * 1599]), TOO_SHORT)
    yield upload("wav: 0.1 s, the limit", partial(wav, SECOND[:3200]), NOTHING_SAID)


def lies() -> Iterator[Row]:
    junk = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"x" * 500_000))
    taken: dict[str, Make | bytes] = {
        "data before fmt": riff(DATA, fmt()),
        "two formats, the second forged": riff(fmt(), fmt(channels=9, rate=1), DATA),
        "RIFF size 0": riff(fmt(), DATA, claim=0),
        "RIFF size 4": riff(fmt(), DATA, claim=4),
        "RIFF size 4 GB": riff(fmt(), DATA, claim=2**32 - 1),
        "data claims 4 GB": partial(wav, SECOND, claim=2**32 - 1),
        "data claims 2 GB": partial(wav, SECOND, claim=2**31),
        "data claims one byte more": partial(wav, SECOND, claim=len(SECOND) + 1),
        "data claims nothing, the file goes on": partial(wav, SECOND, claim=0),
        "odd number of bytes": partial(wav, SECOND + b"x"),
        "fact claims 2^32-1 samples": riff(fmt(), chunk(b"fact", b"\xff" * 4), DATA),
        "fact of no byte": riff(fmt(), chunk(b"fact", b""), DATA),
        "LIST of 500 kB": riff(fmt(), junk, DATA),
        "LIST claims 4 GB inside": riff(fmt(), chunk(b"LIST", b"INFO" + chunk(b"INAM", b"x", 2**32 - 1)), DATA),
        "20,000 LIST chunks": riff(fmt(), chunk(b"LIST", b"INFO") * 20_000, DATA),
        "100,000 unknown chunks": riff(fmt(), chunk(b"what", b"") * 100_000, DATA),
        "garbage behind the data": with_a_page_behind(),
        "two fmt chunks": riff(fmt(), fmt(), DATA),
        "two data chunks": riff(fmt(), DATA, DATA),
        "bext of no byte": riff(fmt(), chunk(b"bext", b""), DATA),
        "cue points by the thousand": riff(fmt(), chunk(b"cue ", struct.pack("<I", 2**31) + b"\1" * 24_000), DATA),
        "smpl loops without end": riff(fmt(), chunk(b"smpl", b"\xff" * 60), DATA),
        "RF64 claims a terabyte": rf64(2**40),
    }  # fmt: skip
    yield from uploads("wav lies", taken, NOTHING_SAID)
    yield upload("wav lies: a chunk of 4 GB", riff(fmt(), chunk(b"junk", b"x", 2**32 - 1), DATA), UNREADABLE)
    yield upload("wav lies: RF64 claims 2^63 bytes", rf64(2**63), UNREADABLE)
    yield upload("wav lies: RF64 without ds64", riff(fmt(), DATA, magic=b"RF64"), UNREADABLE)
    yield upload("wav lies: RIFX", riff(fmt(), DATA, magic=b"RIFX"), UNREADABLE)


def rf64(claim: int) -> bytes:
    sizes = chunk(b"ds64", struct.pack("<QQQI", claim, claim, claim, 0))
    return riff(sizes, fmt(), chunk(b"data", SECOND, 2**32 - 1), magic=b"RF64")


def with_a_page_behind() -> bytes:
    return wav(SECOND) + b"<html>" * 1000


def cuts() -> Iterator[Row]:
    whole = wav(SECOND)
    for size in (1, 4, 8, 11):
        yield upload(f"wav cut at byte {size}", partial(bytes, whole[:size]), UNKNOWN)
    for size in (12, 16, 20, 22, 24, 28, 32, 34, 35, 36, 40, 43):
        yield upload(f"wav cut at byte {size}", partial(bytes, whole[:size]), UNREADABLE)
    for size, answer in {44: EMPTY, 45: CORRUPT, 46: TOO_SHORT, 3242: TOO_SHORT, 3244: NOTHING_SAID}.items():
        yield upload(f"wav cut at byte {size}", partial(bytes, whole[:size]), answer)
    for size in (16, 24, 40, 64, 80):
        yield upload(f"w64 cut at byte {size}", first("w64", size), UNKNOWN)
    yield upload("w64 of no sample", first("w64", 103), EMPTY)
    yield upload("w64: rate 1", lambda: sound("w64").replace(struct.pack("<I", 44_100), b"\1\0\0\0"), WRONG_RATE)


ROWS = [*rates(), *channels(), *samples(), *tags(), *layouts(), *lies(), *cuts()]
