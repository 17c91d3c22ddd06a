"""HTTP requests as no client writes them, each made from its number and a seed."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.faults.bad_forms import bad_form
from tests.faults.bad_heads import CODINGS, HEAD_FAULTS, LENGTHS, TARGETS, Draft


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent on one connection, in `pieces`; `replies` are the most that may come, and `kind` says what it is."""

    number: int
    kind: str
    pieces: tuple[bytes, ...]
    replies: int

    @property
    def headless(self) -> bool:
        """Whether an answer may have no body although its head has a length: what follows it cannot be read then."""
        return b"HEAD" in b"".join(self.pieces)


def case(seed: int, number: int) -> Case:
    """The same for the same numbers, on any machine."""
    chance = random.Random(f"{seed}/{number}")
    kind = chance.choice(tuple(_KINDS))
    data, replies = _KINDS[kind](chance)
    return Case(number, kind, _cut(chance, data), replies)


def _post(chance: random.Random) -> Draft:
    kind, body = bad_form(chance)
    length = str(len(body)).encode()
    headers = ((b"Host", b"localhost"), (b"Content-Type", kind), (b"Content-Length", length))
    return Draft(b"POST", chance.choice(TARGETS[:3]), b"HTTP/1.1", headers, body)


def _get(chance: random.Random) -> Draft:
    return Draft(b"GET", chance.choice(TARGETS), b"HTTP/1.1", ((b"Host", b"localhost"),), b"")


def _form(chance: random.Random) -> tuple[bytes, int]:
    """A head that is right with a form that need not be."""
    return _post(chance).written(), 1


def _chunks(chance: random.Random) -> tuple[bytes, int]:
    """A form in chunks."""
    draft, body, sent = _post(chance).without(b"Content-Length"), b"", 0
    content = draft.body
    while sent < len(content):
        size = chance.choice((1, 7, 100, 4_096, 65_536)) if len(content) < 3_000 else 65_536
        piece = content[sent : sent + size]
        sent += len(piece)
        body += _size_line(chance, len(piece)) + piece + (b"\r\n" if chance.random() < 0.99 else b"\n")
    body += chance.choice(
        (b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n", b"0\r\n", b"", b"-1\r\n\r\n", b"0;" + b"x" * 70_000)
    )
    return replace(draft, body=body).with_header(b"Transfer-Encoding", b"chunked").written(), 1


def _size_line(chance: random.Random, size: int) -> bytes:
    right = f"{size:x}".encode() + b"\r\n"
    if chance.random() < 0.97:
        return right
    return chance.choice(
        (
            b"0x" + right,
            b" " + right,
            b"-" + right,
            b"f" * 17 + b"\r\n",
            right[:-2] + b";a=b\r\n",
            right[:-2] + b"\n",
            b"\r\n",
        )
    )


def _framing(chance: random.Random) -> tuple[bytes, int]:
    """A request whose length can be read in two ways, with another one hidden in it."""
    hidden = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
    draft = Draft(b"POST", chance.choice(TARGETS), b"HTTP/1.1", ((b"Host", b"localhost"),), b"0\r\n\r\n" + hidden)
    length, short = str(len(draft.body)).encode(), b"5"
    kinds: Sequence[Draft] = (
        draft.with_header(b"Content-Length", length).with_header(b"Transfer-Encoding", chance.choice(CODINGS)),
        draft.with_header(b"Transfer-Encoding", chance.choice(CODINGS)).with_header(b"Content-Length", length),
        draft.with_header(b"Content-Length", length).with_header(b"Content-Length", short),
        draft.with_header(b"Content-Length", chance.choice(LENGTHS)),
        draft.with_header(b"Content-Length", length).with_header(b"Transfer-Encoding ", b"chunked"),
        draft.with_header(b"Content-Length", length).with_header(b"X", b"y\r\n Transfer-Encoding: chunked"),
        draft.with_header(b"Content-Length", length).with_header(b"X", b"y\nTransfer-Encoding: chunked"),
        draft.with_header(b"Content-Length", length).with_header(b"X", b"y\rTransfer-Encoding: chunked"),
    )
    chosen = chance.choice(kinds)
    return chosen.written(), 2


def _heads(chance: random.Random) -> tuple[bytes, int]:
    """A head that is wrong in one or more places."""
    draft = _post(chance) if chance.random() < 0.5 else _get(chance)
    for _ in range(chance.randrange(1, 4)):
        draft = chance.choice(HEAD_FAULTS)(chance, draft)
    return draft.written(b"\n" if chance.random() < 0.03 else b"\r\n"), 2


def _bytes(chance: random.Random) -> tuple[bytes, int]:
    """A request of which single bytes were changed."""
    data = bytearray((_post(chance) if chance.random() < 0.5 else _get(chance)).written())
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(min(len(data), 600))
        chance.choice(_BYTE_FAULTS)(chance, data, at)
    return bytes(data), 9


def _pipeline(chance: random.Random) -> tuple[bytes, int]:
    """Some requests at once, of which one may be wrong."""
    count = chance.choice((2, 3, 10, 140))
    requests = [_get(chance).written() for _ in range(count)]
    if chance.random() < 0.5:
        requests.insert(chance.randrange(count), _heads(chance)[0])
    return b"".join(requests), count + 2


_KINDS: dict[str, Callable[[random.Random], tuple[bytes, int]]] = {
    "forms": _form,
    "forms in chunks": _chunks,
    "two lengths": _framing,
    "heads": _heads,
    "bytes": _bytes,
    "pipelines": _pipeline,
}


def _changed(chance: random.Random, data: bytearray, at: int) -> None:
    data[at] = chance.randrange(256)


def _inserted(chance: random.Random, data: bytearray, at: int) -> None:
    data[at:at] = chance.choice(
        (b"\x00", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b":", b"\xff" * 9, chance.randbytes(30))
    )


def _removed(chance: random.Random, data: bytearray, at: int) -> None:
    if len(data) > 40:
        del data[at : at + chance.choice((1, 2, 20))]


def _shortened(chance: random.Random, data: bytearray, _: int) -> None:
    if len(data) > 40 and chance.random() < 0.2:
        del data[chance.randrange(20, len(data)) :]


_BYTE_FAULTS = (_changed, _changed, _inserted, _removed, _shortened)


def _cut(chance: random.Random, data: bytes) -> tuple[bytes, ...]:
    """In one piece, mostly; or in some, cut anywhere."""
    if chance.random() < 0.7 or len(data) < 2:
        return (data,)
    places = sorted({0, len(data), *(chance.randrange(1, len(data)) for _ in range(chance.choice((1, 2, 8))))})
    return tuple(data[one:other] for one, other in itertools.pairwise(places))
