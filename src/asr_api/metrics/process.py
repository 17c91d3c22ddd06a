"""The process itself: its readiness, connections, event loop and log."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from asr_api.metrics.buckets import SHORT
from asr_api.metrics.labels import (
    AUTH_FAILURES,
    CONNECTION_ENDS,
    LOG_LEVELS,
    AuthFailure,
    ConnectionEnd,
    LogLevel,
    filled,
)


class ProcessMetrics:
    """What is of no one request."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ready = Gauge("asr_ready", "1 while the service takes requests", registry=registry)
        self._draining = Gauge("asr_draining", "1 while the service shuts down", registry=registry)
        self._lag = Histogram(
            "asr_event_loop_lag_seconds",
            "Seconds by which the event loop was late for a timer",
            buckets=SHORT,
            registry=registry,
        )
        self._tasks = Gauge("asr_event_loop_tasks", "Tasks of the event loop", registry=registry)
        self._connections = Gauge("asr_connections", "Open connections", registry=registry)
        self._closed = filled(
            Counter("asr_connections_closed_total", "Connections that ended, by why", ["reason"], registry=registry),
            CONNECTION_ENDS,
        )
        self._auth_failures = filled(
            Counter(
                "asr_auth_failures_total",
                "Requests refused for want of a right API key",
                ["reason"],
                registry=registry,
            ),
            AUTH_FAILURES,
        )
        self._logged = filled(
            Counter("asr_log_messages_total", "Lines of the log", ["level"], registry=registry), LOG_LEVELS
        )
        self._log_dropped = filled(
            Counter(
                "asr_log_dropped_total",
                "Lines of the log that were lost, since nobody read it",
                ["level"],
                registry=registry,
            ),
            LOG_LEVELS,
        )

    def watch_connections(self, count: Callable[[], int]) -> None:
        """Ask for the number of open connections at each scrape."""
        self._connections.set_function(count)

    def watch_tasks(self, count: Callable[[], int]) -> None:
        """Ask for the number of the event loop's tasks at each scrape, from whatever thread."""
        self._tasks.set_function(count)

    def connection_closed(self, reason: ConnectionEnd) -> None:
        self._closed.labels(reason).inc()

    def auth_failed(self, reason: AuthFailure) -> None:
        self._auth_failures.labels(reason).inc()

    def late(self, seconds: float) -> None:
        """The event loop came `seconds` late to a timer."""
        self._lag.observe(seconds)

    def logged(self, level: LogLevel) -> None:
        self._logged.labels(level).inc()

    def log_dropped(self, level: LogLevel) -> None:
        self._log_dropped.labels(level).inc()

    def entered(self, *, ready: bool, draining: bool) -> None:
        self._ready.set(ready)
        self._draining.set(draining)
