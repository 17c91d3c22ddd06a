"""What a server costs while something is done to it: memory at its most, processors, batches."""

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Self

from benchmarks.harness.machine import Processors

from tests.faults.server import Samples, Server

INTERVAL = 0.25
MEGABYTE = 1 << 20


class Watch:
    """Looks at a server and its children from a thread until the block ends.

    Bytes of memory at the start, at most and at the end; seconds of processor of the family, and
    cores that all others took, `others_cores`, the clients among them; what the engine did meanwhile.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.most = self.first = self.last = 0
        self.seconds = self.cpu_seconds = self.busy = 0.0
        self.mean_batch = 0.0
        self.others_cores: float | None = None

    def __enter__(self) -> Self:
        self.first = self.most = self._server.family_rss()
        self._processors, self._began = Processors.look(), time.perf_counter()
        self._before, self._spent = self._server.metrics(), family_cpu(self._server)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.last = self._server.family_rss()
        self.seconds = time.perf_counter() - self._began
        self.cpu_seconds = family_cpu(self._server) - self._spent
        self.others_cores = self._processors.taken_by_others(self.cpu_seconds, self.seconds)
        after = self._server.metrics()
        self.busy = self._moved(after, "asr_engine_busy_seconds_total") / self.seconds
        batches = self._moved(after, "asr_batch_size_count")
        self.mean_batch = self._moved(after, "asr_batch_size_sum") / batches if batches else 0.0

    def _moved(self, after: Samples, name: str) -> float:
        return after.total(name) - self._before.total(name)

    def _look(self) -> None:
        while not self._over.wait(INTERVAL):
            self.most = max(self.most, self._server.family_rss())


def family_cpu(server: Server) -> float:
    """Seconds of processor of the service and its children that live (proc_pid_stat(5): utime and stime)."""
    return sum(_cpu(pid) for pid in (server.pid, *server.children()))


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
