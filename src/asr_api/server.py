"""The life of the server process: take the port, load, serve, drain, and an exit code that says how it went."""

import logging
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from asr_api.app import create_app
from asr_api.assembly import build_service
from asr_api.errors import AsrError, StartupError
from asr_api.models.progress import OnProgress
from asr_api.selftest import Sample, sample_for
from asr_api.service import Loaded
from asr_api.settings import Settings

logger = logging.getLogger(__name__)

ENGINE_EXIT_CODE = 70
"""What the process ends with when the engine fails for good (sysexits.h: EX_SOFTWARE)."""


class PortUnavailable(StartupError):
    """The address cannot be listened on."""

    exit_code = 3


class Server:
    """One run of the service on a listening socket; `run` returns the exit code."""

    def __init__(self, settings: Settings, listener: socket.socket, on_progress: OnProgress | None = None) -> None:
        self._listener = listener
        self._keyed = bool(settings.api_keys.get_secret_value() or settings.api_keys_file)
        self._failure: AsrError | None = None
        self._service = build_service(settings, on_ready=self._announce, on_failed=self._fail, on_progress=on_progress)
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                create_app(self._service, on_failed=self._fail),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, round(settings.drain_timeout)),
            )
        )

    def run(self) -> int:
        """Serve until a signal or a failure. Raises the StartupError that kept the service from starting."""
        signal.signal(signal.SIGTERM, _ignore)  # uvicorn raises it again when all is done
        signal.signal(signal.SIGINT, _ignore)
        self._uvicorn.run(sockets=[self._listener])
        if isinstance(self._failure, StartupError):
            raise self._failure
        if self._failure is not None:
            logger.critical(self._failure.message)
            return ENGINE_EXIT_CODE
        return 0

    def _fail(self, error: AsrError) -> None:
        self._failure = error
        self._uvicorn.should_exit = True

    def _announce(self, loaded: Loaded) -> None:
        """Say on standard output that the service is ready, what it serves, and how to try it."""
        host, port = self._listener.getsockname()[:2]
        info = loaded.engine.info
        sys.stdout.write(
            f"ready: {info.model} on {info.device} ({info.compute_type}), "
            f"self-test heard {loaded.self_test!r}\n"
            f"try:   {curl_line(url_of(host, port), sample_for(info.model), keyed=self._keyed)}\n"
            f"docs:  {url_of(host, port)}/docs\n"
        )
        sys.stdout.flush()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortUnavailable with one sentence that names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise PortUnavailable(
            f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0).lower()}; "
            "stop what uses it, or choose another with --port"
        ) from error


def url_of(host: str, port: int) -> str:
    """The address as a client on this machine writes it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"


def curl_line(url: str, sample: Sample, *, keyed: bool = False) -> str:
    """A command that posts the sample; its path is relative where that is possible."""
    key = '-H "Authorization: Bearer $KEY" ' if keyed else ""
    path = Path(sample.path)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"curl {key}-F file=@{shown} {url}/transcribe"


def _ignore(_: int, __: FrameType | None) -> None:
    """Let a signal that was already acted on pass."""
