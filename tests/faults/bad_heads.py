"""Heads of requests as no client writes them."""

import random
from dataclasses import dataclass, replace

TARGETS = (
    b"/transcribe",
    b"/v1/audio/transcriptions",
    b"/v1/audio/translations",
    b"/v1/models",
    b"/v1/models/whisper-1",
    b"/livez",
    b"/",
    b"/openapi.json",
    b"/nowhere",
)
METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"PATCH", b"TRACE", b"CONNECT", b"PRI", b"get", b"")
LENGTHS = (
    b"-1",
    b"+5",
    b"0x10",
    b"5 5",
    b"5,5",
    b"1e3",
    b"",
    b"18446744073709551616",
    b"10737418240",
    b"00005",
    b"\xd9\xa5",
)
CODINGS = (
    b"chunked",
    b"Chunked",
    b"xchunked",
    b"chunked, identity",
    b"identity",
    b"gzip, chunked",
    b" chunked",
    b"chunked\x00",
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A request before it is written down."""

    method: bytes
    target: bytes
    version: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def with_header(self, name: bytes, value: bytes) -> "Draft":
        return replace(self, headers=(*self.headers, (name, value)))

    def without(self, name: bytes) -> "Draft":
        return replace(self, headers=tuple(header for header in self.headers if header[0] != name))

    def written(self, end: bytes = b"\r\n") -> bytes:
        lines = [b" ".join((self.method, self.target, self.version))]
        lines += [name + b": " + value for name, value in self.headers]
        return end.join(lines) + end + end + self.body


def _replaced_header(chance: random.Random, draft: Draft) -> Draft:
    name = chance.choice((b"Host", b"Content-Type", b"Content-Length"))
    return draft.without(name).with_header(
        name, chance.choice((*LENGTHS, b"localhost", b"\xff", b"\x00", b"a\rb", b"x" * 9_000))
    )


def _odd_header(chance: random.Random, draft: Draft) -> Draft:
    name = chance.choice(
        (
            b"X",
            b"",
            b"X Y",
            b"X\x00",
            b"\xff",
            b"X-Request-ID",
            b"Idempotency-Key",
            b"x-stainless-retry-count",
            b"n" * 9_000,
        )
    )
    value = chance.choice((b"", b"v", b"\x00", b"\xff" * 20, b"a\r\n b", b"\t", b"'\";--", b"9" * 400, b"v" * 70_000))
    return draft.with_header(name, value)


def _special_header(chance: random.Random, draft: Draft) -> Draft:
    headers = (
        (b"Expect", b"100-continue"),
        (b"Expect", b"200-ok"),
        (b"Connection", b"close"),
        (b"Connection", b"keep-alive, Upgrade"),
        (b"Upgrade", b"h2c"),
        (b"Upgrade", b"websocket"),
        (b"Content-Encoding", b"gzip"),
        (b"Transfer-Encoding", b"gzip"),
        (b"Range", b"bytes=0-0,-1"),
        (b"Authorization", b"Bearer \xff\xfe"),
        (b"Origin", b"null"),
        (b"Accept-Encoding", b"br;q=x"),
        (b"traceparent", b"00-" + b"f" * 32 + b"-ffffffffffffffff-01"),
        (b"Host", b"other"),
    )
    return draft.with_header(*chance.choice(headers))


def _many_headers(chance: random.Random, draft: Draft) -> Draft:
    return replace(draft, headers=draft.headers + ((b"X", b"y"),) * chance.choice((50, 99, 101, 2_000)))


def _other_line(chance: random.Random, draft: Draft) -> Draft:
    targets = (
        *TARGETS,
        b"*",
        b"http://localhost/livez",
        b"//",
        b"/\x00",
        b"/%00%ff",
        b"/..%2f..",
        b"/\xff",
        b"/?" + b"a=b&" * 100,
        b"/" + b"x" * 9_000,
        b"",
    )
    versions = (
        b"HTTP/1.0",
        b"HTTP/0.9",
        b"HTTP/1.2",
        b"HTTP/2.0",
        b"HTTP/9.9",
        b"http/1.1",
        b"",
        b"HTTP/1.1 ",
        b"RTSP/1.0",
    )
    part = chance.randrange(3)
    if part == 0:
        return replace(draft, method=chance.choice(METHODS))
    return (
        replace(draft, target=chance.choice(targets)) if part == 1 else replace(draft, version=chance.choice(versions))
    )


HEAD_FAULTS = (
    _replaced_header,
    _odd_header,
    _special_header,
    _special_header,
    _many_headers,
    _other_line,
    _other_line,
)
"""What may be wrong with a head, the more likely of it more than once."""
