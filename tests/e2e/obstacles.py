"""Servers that do not answer at once: the real one without a free place, and ours around a service that fails."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from asr_api.admission import Place
from asr_api.errors import EngineFailure, Overloaded
from tests.e2e.process import ServerProcess, environment
from tests.e2e.recordings import CALLSIGN
from tests.http.fakes import FakeService, multipart

KEY = "sk-test-7c1f"
UPLOAD_LIMIT = 300_000


def strict_server(model_dir: Path) -> ServerProcess:
    """The real server with one place, one key and little room for a body."""
    return ServerProcess(
        *("--model", "callsign", "--max-concurrent-requests", "1"),
        *("--min-upload-rate", "0", "--max-upload-bytes", str(UPLOAD_LIMIT)),
        environ=environment(model_dir, ASR_API_KEYS=f"tests:{KEY}"),
    )


ATTEMPTS = 1_000
"""Of a millisecond or so each."""


class Slow:
    """A request that has sent its head only; it has its place for as long as it likes."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        self._connection = connection
        audio = CALLSIGN["en-16.flac"].path.read_bytes()
        self._body, headers = multipart(("file", audio), ("model", "whisper-1"))
        head = [
            "POST /v1/audio/transcriptions HTTP/1.1",
            f"Host: {host}",
            f"Authorization: Bearer {KEY}",
            f"Content-Type: {headers['content-type']}",
            f"Content-Length: {len(self._body)}",
            "Expect: 100-continue",
        ]
        self._connection.sendall("\r\n".join([*head, "", ""]).encode())
        self.has_place = self._connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        """The server wants the body only once the request has its place."""

    def finish(self) -> None:
        """Send the rest; on return the request is answered and its place is free."""
        self._connection.sendall(self._body)
        assert self._connection.recv(1024).startswith(b"HTTP/1.1 200 ")


@contextmanager
def slow_request(server: ServerProcess) -> Iterator[Slow]:
    """A request that holds a place of a strict server; that of the last one is free a moment after its answer."""
    address = urlsplit(server.url)
    for _ in range(ATTEMPTS):
        with socket.create_connection((address.hostname, address.port or 80), timeout=60) as connection:
            slow = Slow(connection, address.netloc)
            if slow.has_place:
                yield slow
                return
    raise AssertionError("the place of the last request is not free yet")


class Stumbling(FakeService):
    """Has no place for every request's first two attempts."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts = 0

    @contextmanager
    def admitted(self, tenant: str = "") -> Iterator[Place]:
        self.attempts += 1
        if self.attempts % 3:
            raise Overloaded("1 requests are in progress, which is the limit", retry_after=1)
        with super().admitted(tenant) as place:
            yield place


class Breaking(FakeService):
    """Tells all parts of its answer, and then the engine fails."""

    def __init__(self) -> None:
        super().__init__(error=EngineFailure("the engine failed"), parts_before_error=True)


class Slowing(FakeService):
    """Ends no work before it is asked a second time."""

    def __init__(self) -> None:
        super().__init__(gated=True)
        self.attempts = 0

    @contextmanager
    def admitted(self, tenant: str = "") -> Iterator[Place]:
        self.attempts += 1
        if self.attempts == 2:
            self.proceed()
        with super().admitted(tenant) as place:
            yield place
