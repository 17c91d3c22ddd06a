"""The head of a request: how large it may be, and what httptools lets pass and RFC 9112 does not."""

from collections.abc import Sequence

from asr_api.server.refusals import HeadTooLarge, MalformedRequest, TargetTooLong

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of a request's headers, and of what follows a body in chunks: what h11 allows."""

MAX_HEADERS = 100
"""Headers of a request: Apache's limit."""

MAX_TARGET_BYTES = 8 * 1024
"""Bytes of a request's URL: what RFC 9112 (section 3) asks for at least."""

Headers = Sequence[tuple[bytes, bytes]]


class HeadMeter:
    """Counts the headers of one request after the other. Raises HeadTooLarge or TargetTooLong at the limit."""

    def __init__(self) -> None:
        self._headers = self._bytes = self._loose = 0

    def begin(self) -> None:
        """Another request begins."""
        self._headers = self._bytes = 0

    def target(self, url: bytes) -> None:
        """So much of the URL has come."""
        if len(url) > MAX_TARGET_BYTES:
            raise TargetTooLong(f"the URL has more than {MAX_TARGET_BYTES} bytes")

    def header(self, name: bytes, value: bytes) -> None:
        """Another header is whole."""
        self._headers += 1
        self._bytes += len(name) + len(value) + len(": \r\n")
        if self._headers > MAX_HEADERS:
            raise HeadTooLarge(f"the request has more than {MAX_HEADERS} headers")
        self._within(self._bytes)

    def came(self, size: int) -> None:
        """So many bytes have come."""
        self._loose += size

    def used(self) -> None:
        """What came until now was the end of a head, or of a body, or part of one."""
        self._loose = 0

    def check(self) -> None:
        """Hold to the limit what came and is no part of anything whole: a header without an end."""
        self._within(self._loose)

    def _within(self, size: int) -> None:
        if size > MAX_HEAD_BYTES:
            raise HeadTooLarge(f"the headers have more than {MAX_HEAD_BYTES} bytes")


def check_head(version: str, method: bytes, headers: Headers) -> None:
    """Raises MalformedRequest for another protocol, for a tunnel, unless the host is named once, and for a
    body in another form than its length or, in HTTP/1.1, chunks.
    """
    if version not in ("1.0", "1.1"):
        raise MalformedRequest(f"HTTP/{version} is not served; HTTP/1.1 is")
    if method == b"CONNECT":
        raise MalformedRequest("CONNECT is not served")
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (version == "1.1" and not hosts):
        raise MalformedRequest("a request has one Host header")
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version == "1.0"):
        raise MalformedRequest("a body that is sent in another way than in chunks is not served")


def without_upgrade(version: str, method: bytes, url: bytes, headers: Headers) -> bytes:
    """The head of a client that stays with HTTP/1.1."""
    lines = [b"%s %s HTTP/%s" % (method, url, version.encode())]
    lines += [b"%s: %s" % header for header in headers if header[0] != b"upgrade"]
    return b"\r\n".join(lines) + b"\r\n\r\n"
