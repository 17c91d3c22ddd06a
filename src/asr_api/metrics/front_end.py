"""What comes in: uploads, their decoding, and what waits on disk."""

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from asr_api.metrics.buckets import UPLOAD
from asr_api.metrics.labels import (
    REJECTIONS,
    WORKER_RESTARTS,
    WORKER_STATES,
    Rejection,
    WorkerRestart,
    WorkerState,
    filled,
)


class FrontEndMetrics:
    """From a request's body to chunks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._upload_bytes = Counter("asr_upload_bytes_total", "Bytes of audio received", registry=registry)
        self._upload_size = Histogram("asr_upload_size_bytes", "Bytes of a file", buckets=UPLOAD, registry=registry)
        self._rejections = filled(
            Counter(
                "asr_decode_rejections_total",
                "Files that could not be transcribed, by what was wrong",
                ["reason"],
                registry=registry,
            ),
            REJECTIONS,
        )
        self._workers = filled(
            Gauge("asr_decode_workers", "Processes that decode files, by what they do", ["state"], registry=registry),
            WORKER_STATES,
        )
        self._worker_restarts = filled(
            Counter(
                "asr_decode_worker_restarts_total",
                "Decode workers replaced, by what was wrong with the old one",
                ["reason"],
                registry=registry,
            ),
            WORKER_RESTARTS,
        )
        self._spool_used = Gauge("asr_spool_used_bytes", "Bytes that wait on disk", registry=registry)
        self._spool_capacity = Gauge("asr_spool_capacity_bytes", "Bytes that may wait on disk", registry=registry)
        self._spool_files = Gauge("asr_spool_files", "Files that wait on disk", registry=registry)

    def uploaded(self, size: int) -> None:
        """Count a file that came in whole, in bytes."""
        self._upload_bytes.inc(size)
        self._upload_size.observe(size)

    def decode_rejected(self, reason: Rejection) -> None:
        self._rejections.labels(reason).inc()

    def worker_replaced(self, reason: WorkerRestart) -> None:
        self._worker_restarts.labels(reason).inc()

    def watch_workers(self, count: Callable[[WorkerState], int]) -> None:
        """Ask for the number of workers in each state at each scrape."""
        for state in WORKER_STATES:
            self._workers.labels(state).set_function(partial(count, state))

    def watch_spool(self, capacity: int, used: Callable[[], int], files: Callable[[], int]) -> None:
        """Ask what is on disk at each scrape; `capacity` and `used` are in bytes."""
        self._spool_capacity.set(capacity)
        self._spool_used.set_function(used)
        self._spool_files.set_function(files)
