"""The second port: probes and metrics from a loop of its own, which no request holds up."""

import socket
import threading

from asr_api.http.probes import create_admin_app
from asr_api.metrics import Metrics
from asr_api.pulse import Pulse
from asr_api.server.connections import Connections
from asr_api.server.edge import Edge
from asr_api.service import Service
from asr_api.settings import Settings

MOST = 256
"""Connections at a time: a few probes, and some who look."""

END_SECONDS = 5.0


class AdminServer:
    """Answers from `start` to `close`, in a thread of its own; owns the socket.

    Its connections and answers are in no metric: those are of the API.
    """

    def __init__(self, service: Service, pulse: Pulse, listener: socket.socket, settings: Settings) -> None:
        self.listener = listener
        self._started = threading.Event()
        self._edge = Edge(
            create_admin_app(service, pulse),
            listener,
            settings,
            Connections(MOST, lambda _: None),
            Metrics("").requests,
            on_started=self._started.set,
        )
        self._thread = threading.Thread(target=self._edge.run, name="admin", daemon=True)

    def start(self) -> None:
        """Return when it answers."""
        self._thread.start()
        self._started.wait(END_SECONDS)

    def close(self) -> None:
        self._edge.should_exit = True
        self._thread.join(END_SECONDS)
