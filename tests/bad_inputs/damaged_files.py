"""Files of every served format that are cut off, spoilt, or whose headers lie."""

import struct
from collections.abc import Iterator
from functools import partial

from .files import (
    GARBAGE,
    KINDS,
    SECOND,
    box,
    cut,
    first,
    iff,
    joined,
    muxed,
    patched,
    picture,
    sound,
    spoilt,
)  # fmt: skip
from .row import (
    CODEC,
    CORRUPT,
    EMPTY,
    NO_SOUND,
    NOTHING_SAID,
    TOO_SHORT,
    UNKNOWN,
    UNREADABLE,
    WRONG_CHANNELS,
    WRONG_RATE,
    Make,
    Row,
    upload,
    uploads,
)  # fmt: skip

MAGIC = {
    "AIFF": b"FORM\0\0\0\x04AIFF", "AIFC": b"FORM\0\0\0\x04AIFC", "CAF": b"caff\0\1\0\0", "AMR": b"#!AMR\n",
    "AMR-WB": b"#!AMR-WB\n", "ADTS": b"\xff\xf1\x50\x80", "FLAC": b"fLaC", "MP3": b"\xff\xfb\x90\x44", "ID3": b"ID3",
    "Ogg": b"OggS", "MP4": b"\0\0\0\x18ftypM4A \0\0\0\0M4A isom", "EBML": b"\x1a\x45\xdf\xa3", "RIFF": b"RIFF",
    "MPEG": b"\0\0\1\xba", "W64": b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0",
}  # fmt: skip


ANSWERS = {
    "AMR": (EMPTY, NOTHING_SAID, CORRUPT),  # zeros are frames
    "AMR-WB": (EMPTY, NOTHING_SAID, CORRUPT),
    "ADTS": (UNKNOWN, UNKNOWN, WRONG_RATE),
    **dict.fromkeys(("MP3", "RIFF", "MPEG", "W64"), (UNKNOWN,) * 3),
}


def magic() -> Iterator[Row]:
    for name, data in MAGIC.items():
        alone, zeros, garbage = ANSWERS.get(name, (UNREADABLE,) * 3)
        yield upload(f"magic of {name} alone", data, alone)
        yield upload(f"magic of {name}, then zeros", data + bytes(5_000), zeros)
        yield upload(f"magic of {name}, then garbage", data + GARBAGE[:5_000], garbage)


INDEXED = ("m4a", "alac", "mov", "3gp")
"""What has its index at its end, without which nothing can be read."""

HEADERS = {
    "aiff": 54, "caf": 68, "flac": 86, "m4a": 40, "mov": 40, "3gp": 40, "webm": 200, "mkv": 60, "opus": 60, "mp3": 45,
    "aac": 7, "amr": 6, "mpeg": 12,
}  # fmt: skip


def cuts() -> Iterator[Row]:
    for kind, size in HEADERS.items():
        answer = EMPTY if kind in ("aiff", "amr") else UNKNOWN if kind in ("aac", "mpeg") else UNREADABLE
        yield upload(f"{kind}: its first {size} bytes", first(kind, size), answer)
    special = {
        ("flac", 0.2): CORRUPT,  # one of its five packets is cut
        ("ogg flac", 0.2): UNREADABLE,  # its first page is
        ("3gp", 0.9): NO_SOUND,  # half of its index is there
    }
    for kind in sorted(KINDS.keys() - {"mkv pcm"}):
        usual = UNREADABLE if kind in INDEXED else NOTHING_SAID
        for share in (0.2, 0.5, 0.9):
            yield upload(f"{kind}: {share:.0%} of it", cut(kind, share), special.get((kind, share), usual))
    for kind in ("mp3", "aac", "amr", "opus", "flac", "m4a", "webm"):
        yield upload(f"{kind}: all but the last byte", first(kind, -1), NOTHING_SAID)
        answer = NOTHING_SAID if kind in ("mp3", "aac") else UNKNOWN
        yield upload(f"{kind}: all but the first byte", partial(without_first_byte, kind), answer)


def without_first_byte(kind: str) -> bytes:
    return sound(kind)[1:]


RESYNCED = ("aac", "flac", "mp3", "opus", "ogg flac", "webm", "mkv")
"""What has marks by which the next packet is found, so that damage reads as a shorter file, as a cut does."""


def spoiling() -> Iterator[Row]:
    for kind in ("aac", "amr", "flac", "mp3", "opus", "ogg flac", "m4a", "mpeg", "webm", "mkv", "3gp"):
        yield upload(
            f"{kind}: garbage in its middle half",
            spoilt(kind, 0.25, 0.75),
            NOTHING_SAID if kind in RESYNCED else CORRUPT,
        )
        yield upload(f"{kind}: garbage in two of a hundred", spoilt(kind, 0.5, 0.52), NOTHING_SAID)
    for kind in ("wav", "aiff", "caf", "mov", "w64"):
        yield upload(f"{kind}: garbage for samples", spoilt(kind, 0.25, 0.3), NOTHING_SAID)


def sample_rate(rate: int) -> bytes:
    """A rate in the 80 bits of AIFF's extended float; whole numbers below 2^63 only."""
    if not rate:
        return bytes(10)
    exponent = rate.bit_length() - 1
    return struct.pack(">HQ", 16383 + exponent, rate << (63 - exponent))


def aiff(rate: int = 16_000, channels: int = 1, frames: int = 16_000, bits: int = 16, data: bytes = SECOND) -> bytes:
    common = struct.pack(">hLh", channels, frames, bits) + sample_rate(rate)
    return iff((b"COMM", common), (b"SSND", bytes(8) + data))


def caf(
    rate: float = 16_000.0, channels: int = 1, bits: int = 16, kind: bytes = b"lpcm", claim: int | None = None
) -> bytes:
    description = struct.pack(">d4sIIIII", rate, kind, 0, channels * bits // 8, 1, channels, bits)
    data = struct.pack(">q", len(SECOND) + 4 if claim is None else claim) + bytes(4) + SECOND
    return b"caff\0\1\0\0desc" + struct.pack(">q", len(description)) + description + b"data" + data


def apples() -> Iterator[Row]:
    for rate in (1, 3_999, 655_350):
        yield upload(f"aiff rate: {rate}", aiff(rate), WRONG_RATE)
        yield upload(f"caf rate: {rate}", caf(float(rate)), WRONG_RATE)
    for count in (9, 64, 255):
        yield upload(f"aiff channels: {count}", aiff(channels=count), WRONG_CHANNELS)
        yield upload(f"caf channels: {count}", caf(channels=count), WRONG_CHANNELS)
    yield upload("aiff rate: 0", aiff(0), UNREADABLE)
    yield upload("aiff channels: 0", aiff(channels=0), UNREADABLE)
    yield upload("aiff bits: 0", aiff(bits=0), NOTHING_SAID)
    yield upload("aiff claims 2^32-1 frames", aiff(frames=2**32 - 1), UNREADABLE)
    yield upload("aiff claims 2^31-1 frames", aiff(frames=2**31 - 1), NOTHING_SAID)
    yield upload("aiff without SSND", iff((b"COMM", struct.pack(">hIh", 1, 9, 16) + sample_rate(8000))), EMPTY)
    yield upload("aiff without COMM", iff((b"SSND", bytes(8) + SECOND)), UNREADABLE)
    yield upload("aiff of no sample", aiff(data=b"", frames=0), EMPTY)
    yield upload("caf rate: 0", caf(0.0), WRONG_RATE)
    yield upload("caf rate: NaN", caf(float("nan")), WRONG_RATE)
    yield upload("caf rate: infinite", caf(float("inf")), WRONG_RATE)
    yield upload("caf rate: negative", caf(-16_000.0), WRONG_RATE)
    yield upload("caf codec: unknown", caf(kind=b"what"), CODEC)
    yield upload("caf claims 2^62 bytes", caf(claim=2**62), NOTHING_SAID)
    yield upload("caf data to the end of the file", caf(claim=-1), NOTHING_SAID)
    yield upload("caf claims less than nothing", caf(claim=-(2**62)), NOTHING_SAID)


def flac_info(rate: int, channels: int = 1, total: int = 0) -> bytes:
    """The 8 bytes of STREAMINFO behind the frame sizes: rate, channels, bits and length."""
    return (rate << 44 | (channels - 1) << 41 | 15 << 36 | total).to_bytes(8, "big")


def others() -> Iterator[Row]:
    taken: dict[str, Make | bytes] = {
        "flac claims 2^36-1 samples": patched("flac", b"fLaC", 18, flac_info(44_100, total=2**36 - 1)),
        "flac claims 1 sample": patched("flac", b"fLaC", 18, flac_info(44_100, total=1)),
        "mp3 behind garbage": joined(GARBAGE[:3_000], lambda: sound("mp3")),
        "opus, 50 streams in a chain": joined(*[lambda: sound("opus", 0.5)] * 50),
        "mp3, 50 files in one": joined(*[lambda: sound("mp3", 0.5)] * 50),
        "aac that changes its rate": joined(lambda: sound("aac"), muxed("adts", "aac", 16_000, "stereo")),
        "m4a claims a duration of years": patched("m4a", b"mvhd", 20, b"\x7f\xff\xff\xff"),
        "m4a says it lasts nothing": patched("m4a", b"mvhd", 20, bytes(4)),
        "webm claims a duration of ages": patched("webm", b"\x44\x89\x88", 3, struct.pack(">d", 1e300)),
        "webm claims a negative duration": patched("webm", b"\x44\x89\x88", 3, struct.pack(">d", -1.0)),
        "webm claims no number for a duration": patched("webm", b"\x44\x89\x88", 3, struct.pack(">d", float("nan"))),
    }
    yield from uploads("odd", taken, NOTHING_SAID)
    yield upload(
        "mp3 behind an ID3 tag of 256 MB", joined(b"ID3\3\0\0\x7f\x7f\x7f\x7f", lambda: sound("mp3")), UNREADABLE
    )
    yield upload("flac without frames", first("flac", 42), UNREADABLE)
    yield upload("mkv rate: 1", patched("mkv pcm", b"\xb5\x88", 2, struct.pack(">d", 1.0)), WRONG_RATE)
    yield upload("mkv channels: 255", patched("mkv pcm", b"\x9f\x81", 2, b"\xff"), WRONG_CHANNELS)
    yield upload(
        "opus: a second stream in stereo",
        joined(lambda: sound("opus"), muxed("ogg", "libopus", 48_000, "stereo")),
        CORRUPT,
    )
    yield upload("mp4 without an index", box(b"ftyp", b"M4A \0\0\0\0M4A ") + box(b"mdat", GARBAGE[:9_000]), UNREADABLE)
    yield upload("mp4 with boxes in boxes, a thousand deep", deep_boxes, UNREADABLE)
    yield upload(
        "mp4 with a box of 4 GB", box(b"ftyp", b"M4A \0\0\0\0") + box(b"moov", b"x", claim=2**32 - 1), NO_SOUND
    )
    yield upload("mp4 with a box of no size", box(b"ftyp", b"M4A \0\0\0\0") + box(b"moov", b"x", claim=1), UNREADABLE)
    yield upload("amr of empty frames", lambda: b"#!AMR\n" + b"\x7c" * 500, CORRUPT)
    yield upload("amr of three frames", first("amr", 6 + 3 * 13), TOO_SHORT)


def deep_boxes() -> bytes:
    data = b""
    for _ in range(1_000):
        data = box(b"moov", data)
    return box(b"ftyp", b"M4A \0\0\0\0") + data


def soundless() -> Iterator[Row]:
    for container, codec in (
        ("mp4", "mpeg4"),
        ("mov", "mjpeg"),
        ("webm", "libvpx"),
        ("matroska", "ffv1"),
        ("mpeg", "mpeg2video"),
    ):
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        yield upload(f"{container}: {codec} without sound", partial(picture, container, codec, pixels), NO_SOUND)
    for container, codec in (
        ("matroska", "wavpack"),
        ("matroska", "tta"),
        ("mov", "pcm_s16be"),
        ("matroska", "pcm_s32be"),
        ("mov", "adpcm_ima_qt"),
    ):
        yield upload(
            f"{container}: {codec}", muxed(container, codec), CODEC if codec in ("wavpack", "tta") else NOTHING_SAID
        )
    yield upload("wav: adpcm_yamaha", muxed("wav", "adpcm_yamaha"), CODEC)
    yield upload("wav: g726", muxed("wav", "g726", 8_000), CODEC)
    yield upload("caf: adpcm_ima_qt", muxed("caf", "adpcm_ima_qt"), NOTHING_SAID)


ROWS = [*magic(), *cuts(), *spoiling(), *apples(), *others(), *soundless()]
