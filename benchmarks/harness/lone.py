"""One request at a time with a client that costs next to nothing, and what the service says of each."""

import http.client
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2

from .recordings import Recording

STAGES = ("upload", "decode", "queue", "inference", "render")


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds from the first byte sent to the last received, and those of each stage as the service has them."""

    seconds: float
    stages: Mapping[str, float]

    @property
    def added(self) -> float:
        """What the engine did not take."""
        return self.seconds - self.stages["inference"]

    @property
    def rest(self) -> float:
        """What no stage has: HTTP on both sides, the features, and turns of the event loop."""
        return self.seconds - sum(self.stages.values())


class Caller:
    """Posts one recording again and again over one kept connection; the body is encoded beforehand."""

    def __init__(self, connection: http.client.HTTPConnection, recording: Recording) -> None:
        post = httpx2.Request("POST", "http://service/transcribe", files={"file": ("clip.wav", recording.content)})
        self._connection = connection
        self._body = post.read()
        self._headers = {"content-type": post.headers["content-type"]}

    def call(self) -> Timed:
        """Raises http.client.HTTPException where the answer is not 200."""
        began = time.perf_counter()
        self._connection.request("POST", "/transcribe", self._body, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        seconds = time.perf_counter() - began
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"{response.status}: {answer[:200]!r}")
        return Timed(seconds, server_timing(response.headers["Server-Timing"]))


@contextmanager
def calling(port: int, recording: Recording) -> Iterator[Caller]:
    """A caller of the service on this machine, for as long as this lasts."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        yield Caller(connection, recording)
    finally:
        connection.close()


def server_timing(header: str) -> dict[str, float]:
    """Seconds by stage, of the header `upload;dur=0.3, decode;dur=41.0` (W3C Server Timing), which has milliseconds."""
    entries = (entry.split(";dur=") for entry in header.split(","))
    return {name.strip(): float(milliseconds) / 1000 for name, milliseconds in entries}
