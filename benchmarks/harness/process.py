"""A server in a process of its own, from its start to its end."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2

from .processes import cpu_by_role

START_TIMEOUT = 600.0
"""Seconds until a server must be ready; a large model may have to come from the hub first."""
STOP_TIMEOUT = 60.0
POLL = 0.1


class ServerFailed(Exception):
    """The server ended, or was not ready in time; the message has the end of its output."""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that answers at `url`."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Processor time so far, of itself and of the processes that it started, on Linux."""
        return sum(cpu_by_role(self.pid).values())


@contextmanager
def running(command: Sequence[str], port: int, probe: str = "/readyz") -> Iterator[ServerProcess]:
    """Start a server that will listen on `port`, wait until `probe` says 200, and stop it in the end.

    Where there is no `probe` it is ready when it answers at all. Raises ServerFailed where it ends before it is
    ready, or is not ready in time.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        server = ServerProcess(f"http://127.0.0.1:{port}", process.pid)
        try:
            if fault := _await_ready(process, server.url + probe, any_answer=not probe):
                output.seek(0)
                raise ServerFailed(f"{' '.join(command)} {fault}:\n{output.read()[-2000:]}")
            yield server
        finally:
            _stop(process)


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _await_ready(process: subprocess.Popen[bytes], url: str, *, any_answer: bool) -> str | None:
    """None once the server is ready, else why it is not."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return f"ended with exit code {process.returncode}"
        if _is_ready(url, any_answer=any_answer):
            return None
        time.sleep(POLL)
    return f"was not ready after {START_TIMEOUT:.0f} s"


def _is_ready(url: str, *, any_answer: bool) -> bool:
    try:
        return httpx2.get(url).is_success or any_answer
    except httpx2.RequestError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
