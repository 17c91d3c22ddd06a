"""The life of the server process: take the port, load, serve, drain, and an exit code that says how it went."""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

from starlette.types import ASGIApp

from asr_api.app import create_app
from asr_api.assembly import build_service
from asr_api.errors import AsrError, StartupError
from asr_api.gpu import Nvml
from asr_api.hosting import Loaded
from asr_api.models.progress import OnProgress
from asr_api.pulse import Pulse
from asr_api.server import garbage
from asr_api.server.admin import AdminServer
from asr_api.server.announcement import announce
from asr_api.server.connections import Connections
from asr_api.server.descriptors import connections_within, raise_descriptor_limit
from asr_api.server.drain import Drain, DrainLimits
from asr_api.server.edge import Edge
from asr_api.server.listening import listen
from asr_api.settings import Settings

logger = logging.getLogger(__name__)

ENGINE_EXIT_CODE = 70
"""What the process ends with when the engine fails for good (sysexits.h: EX_SOFTWARE)."""


class Server:
    """One run of the service on a listening socket; `run` returns the exit code.

    SIGTERM drains for `drain_delay` seconds at least, SIGINT without a delay, and a second signal
    fails what is still in progress. GPUs are read through `nvml`, the real one where it is None.
    What is served is the application in whatever `wrap` puts around it.
    """

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        on_progress: OnProgress | None = None,
        nvml: Nvml | None = None,
        wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    ) -> None:
        """Raises PortUnavailable where the admin port cannot be had."""
        self._settings = settings
        self._listener = listener
        self._failure: AsrError | None = None
        self._signals: list[int] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drain: Drain | None = None
        self._draining: asyncio.Task[None] | None = None
        self._collecting: asyncio.Task[None] | None = None
        service = build_service(settings, on_ready=self._announce, on_failed=self._fail, on_progress=on_progress)
        self._service = service
        self.metrics = service.metrics
        pulse = Pulse(service.metrics.process.late)
        self._admin = self._build_admin(pulse)
        descriptors = raise_descriptor_limit()
        self._connections = Connections(
            settings.max_connections or connections_within(descriptors), service.metrics.process.connection_closed
        )
        service.metrics.process.watch_connections(self._connections.__len__)
        self._edge = Edge(
            wrap(create_app(service, on_failed=self._fail, nvml=nvml, pulse=pulse)),
            listener,
            settings,
            self._connections,
            service.metrics.requests,
            on_started=self._started,
        )

    def _build_admin(self, pulse: Pulse) -> AdminServer | None:
        settings = self._settings
        if settings.admin_port is None:
            return None
        listener = listen(settings.host, settings.admin_port, "--admin-port")
        return AdminServer(self._service, pulse, listener, settings)

    def run(self) -> int:
        """Serve until a signal or a failure. Raises the StartupError that kept the service from starting."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_signal)
            signal.signal(signal.SIGINT, self._on_signal)
        if self._admin is not None:
            self._admin.start()
        try:
            self._edge.run()
        finally:
            self._loop = None
            if self._admin is not None:
                self._admin.close()
        return self._exit_code()

    def _exit_code(self) -> int:
        if isinstance(self._failure, StartupError):
            raise self._failure
        if self._failure is not None:
            logger.critical(self._failure.message)
            return ENGINE_EXIT_CODE
        return 0

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._heed)

    def _started(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heed()

    def _heed(self) -> None:
        """Do what the signals that came ask for."""
        while self._signals:
            number = self._signals.pop(0)
            if self._drain is not None:
                self._drain.hurry()
            else:
                self._end(self._settings.drain_delay if number == signal.SIGTERM else 0.0)

    def _fail(self, error: AsrError) -> None:
        self._failure = error
        if self._drain is None:
            self._end(0.0)

    def _end(self, delay: float) -> None:
        limits = DrainLimits(delay, self._settings.drain_timeout)
        self._drain = Drain(self._service, self._edge.acceptor, self._connections, limits)
        self._drain.begin()
        self._draining = asyncio.get_running_loop().create_task(self._drain.run(), name="drain")
        self._draining.add_done_callback(self._drained)

    def _drained(self, drain: asyncio.Task[None]) -> None:
        self._edge.should_exit = True
        if self._collecting is not None:
            self._collecting.cancel()
        if not drain.cancelled() and drain.exception() is not None:
            logger.error("the drain broke off", exc_info=drain.exception())

    def _announce(self, loaded: Loaded) -> None:
        garbage.rest()
        self._collecting = asyncio.get_running_loop().create_task(garbage.collect(), name="garbage")
        keyed = bool(self._settings.api_keys.get_secret_value() or self._settings.api_keys_file)
        admin = self._admin.listener if self._admin is not None else None
        announce(loaded, self._listener, admin, keyed=keyed)
