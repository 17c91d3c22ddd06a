"""Where in a file its numbers stand: the sizes of its parts and the fields of their headers."""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Order = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class Field:
    """A number of `width` bytes."""

    offset: int
    width: int
    order: Order


HEADER = 64
"""Bytes at the begin of a part that are taken for fields."""


def wav(data: bytes) -> Iterator[Field]:
    """RIFF: a name, the size of what follows, the content."""
    yield Field(4, 4, "little")
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        yield Field(at + 4, 4, "little")
        if name != b"data":
            yield from _words(at + 8, size, "little")
        at += 8 + size + size % 2


def caf(data: bytes) -> Iterator[Field]:
    """Apple's Core Audio Format: the same with sizes of 64 bits; the first part has the kind of sound."""
    at = 8
    while at + 12 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 12], "big")
        yield Field(at + 4, 8, "big")
        yield from _words(at + 12, 4 if name == b"data" else size, "big")
        at += 12 + size


def flac(data: bytes) -> Iterator[Field]:
    """Blocks with a length of 24 bits, the first of them STREAMINFO; then frames, each with a sync code."""
    at, last = 4, False
    while not last and at + 4 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        last = bool(data[at] & 0x80)
        yield Field(at + 1, 3, "big")
        yield from _words(at + 4, size, "big")
        at += 4 + size
    for frame in re.finditer(rb"\xff[\xf8\xf9]", data[at:]):
        yield from (Field(at + frame.start() + n, 1, "big") for n in range(2, 6))


def mp3(data: bytes) -> Iterator[Field]:
    """Frames with headers of 32 bits; what stands in the first tells of all; before them the size of a tag."""
    yield Field(6, 4, "big")
    frames = [found.start() for found in re.finditer(rb"\xff[\xe2-\xff]", data)]
    for at in frames[:1]:
        yield from _words(at, 200, "big")
    for at in frames:
        yield from (Field(at + n, 1, "big") for n in range(1, 8))


def ogg(data: bytes) -> Iterator[Field]:
    """Pages: flags, position, serial number, sequence number, checksum, the sizes of the packets."""
    for begin, end in pages(data):
        widths = ((4, 1), (5, 1), (6, 8), (14, 4), (18, 4), (22, 4), (26, 1))
        yield from (Field(begin + offset, width, "little") for offset, width in widths)
        count = data[begin + 26]
        yield from (Field(begin + 27 + n, 1, "little") for n in range(count))
        if data[begin + 27 + count : end].startswith((b"OpusHead", b"OpusTags")):
            yield from _words(begin + 27 + count + 8, end, "little")


def m4a(data: bytes) -> Iterator[Field]:
    """Boxes within boxes: a size, a name, the content."""
    yield from _boxes(data, 0, len(data))


BOXES = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"dinf": 0, b"stbl": 0, b"edts": 0, b"udta": 0, b"ilst": 0,
         b"meta": 4, b"stsd": 8, b"dref": 8, b"mp4a": 28}  # fmt: skip
"""The boxes that hold others, with how many bytes stand before those (ISO/IEC 14496-12)."""


def _boxes(data: bytes, at: int, end: int) -> Iterator[Field]:
    while at + 8 <= end:
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        yield Field(at, 4, "big")
        if name in BOXES:
            yield from _words(at + 8, BOXES[name], "big")
            yield from _boxes(data, at + 8 + BOXES[name], at + size)
        elif name != b"mdat":
            yield from _words(at + 8, size - 8, "big")
        at += max(size, 8)


def webm(data: bytes) -> Iterator[Field]:
    """EBML elements within elements: an ID and a size, each as long as its first byte says, and the content."""
    yield from _elements(data, 0, len(data))


MASTERS = frozenset(
    bytes.fromhex(name)
    for name in (
        "1a45dfa3", "18538067", "114d9b74", "4dbb", "1549a966", "1654ae6b", "ae", "e1", "1f43b675", "a0",
        "1c53bb6b", "bb", "b7", "1254c367", "7373", "63c0", "67c8",
    )
)  # fmt: skip
"""The elements that hold others (RFC 9559)."""


def _elements(data: bytes, at: int, end: int) -> Iterator[Field]:
    while at < end:
        name = data[at : at + _length(data[at])]
        size_at = at + len(name)
        width = _length(data[size_at])
        size = int.from_bytes(data[size_at : size_at + width], "big") & ((1 << 7 * width) - 1)
        yield from (Field(at, len(name), "big"), Field(size_at, width, "big"))
        at = size_at + width
        inner = _elements(data, at, min(at + size, end)) if name in MASTERS else _words(at, min(size, 16), "big")
        yield from inner
        at += size


def _length(first: int) -> int:
    """The bytes of a number that begins so; at most 8."""
    return max(1, 9 - first.bit_length())


def _words(at: int, size: int, order: Order) -> Iterator[Field]:
    """What may be fields of a header: bytes, and numbers of 16 and 32 bits where they would lie."""
    for offset in range(at, at + min(size, HEADER)):
        yield Field(offset, 1, order)
        if (offset - at) % 2 == 0:
            yield Field(offset, 2, order)
        if (offset - at) % 4 == 0:
            yield Field(offset, 4, order)


WALKS: Mapping[str, Callable[[bytes], Iterator[Field]]] = {
    "wav": wav, "flac": flac, "mp3": mp3, "ogg": ogg, "m4a": m4a, "webm": webm, "caf": caf,
}  # fmt: skip


def fields(name: str, data: bytes) -> list[Field]:
    """All fields of a seed that lie within it."""
    return [field for field in WALKS[name](data) if field.offset + field.width <= len(data)]


def pages(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the pages of an Ogg file begin and end, by what they say of their length (RFC 3533)."""
    at = data.find(b"OggS")
    while at >= 0 and at + 27 <= len(data):
        count = data[at + 26]
        end = min(at + 27 + count + sum(data[at + 27 : at + 27 + count]), len(data))
        yield at, end
        at = data.find(b"OggS", end)


REVERSED = bytes(int(f"{n:08b}"[::-1], 2) for n in range(256))


def with_checksums(data: bytes) -> bytes:
    """An Ogg file all of whose pages have the right checksum, without which libavformat drops them."""
    fixed = bytearray(data)
    for begin, end in pages(data):
        fixed[begin + 22 : begin + 26] = bytes(4)
        fixed[begin + 22 : begin + 26] = ogg_checksum(bytes(fixed[begin:end])).to_bytes(4, "little")
    return bytes(fixed)


def ogg_checksum(page: bytes) -> int:
    """CRC-32 with the bits in the other order than zlib's, and begun and ended with 0 (RFC 3533, section 6)."""
    other = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{other:032b}"[::-1], 2)
