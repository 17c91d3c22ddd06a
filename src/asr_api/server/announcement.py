"""What is said on standard output once the service is ready."""

import socket
import sys
from pathlib import Path

from asr_api.hosting import Loaded
from asr_api.selftest import Sample, sample_for
from asr_api.server.listening import url_of


def announce(loaded: Loaded, listener: socket.socket, admin: socket.socket | None, *, keyed: bool) -> None:
    """What is served and where, and how to try it."""
    info, url = loaded.info, address(listener)
    lines = [
        f"ready: {info.model} on {info.device} ({info.compute_type}), self-test heard {loaded.self_test!r}",
        f"try:   {curl_line(url, sample_for(info.model), keyed=keyed)}",
        *([f"admin: {address(admin)} has /metrics, /livez and /readyz"] if admin else []),
        f"docs:  {url}/docs",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def address(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return url_of(host, port)


def curl_line(url: str, sample: Sample, *, keyed: bool = False) -> str:
    """A command that posts the sample; its path is relative where that is possible."""
    key = '-H "Authorization: Bearer $KEY" ' if keyed else ""
    path = Path(sample.path)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"curl {key}-F file=@{shown} {url}/transcribe"
