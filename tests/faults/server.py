"""The real server as a process to be broken: its log in a file, its children in sight, its metrics as numbers."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.process import environment
from tests.faults.processes import descendants

START_SECONDS = 120.0
STOP_SECONDS = 60.0
PAUSE = 0.01
"""Seconds between two looks at a condition."""

ENGINE = "asr_api.engine.child"
WORKER = "asr_api.audio.worker"
"""What stands in the command lines of the children."""

LEVELS = (
    "asr_requests_in_flight",
    "asr_requests_running",
    "asr_queue_depth",
    "asr_queue_chunks",
    "asr_queue_audio_seconds",
    "asr_queue_oldest_wait_seconds",
    "asr_spool_used_bytes",
    "asr_spool_files",
)
"""Gauges that are 0 when nobody asks for anything."""


def until(condition: Callable[[], bool], seconds: float, pause: float = PAUSE) -> bool:
    """Look at a condition until it holds; False where it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


class Samples:
    """`/metrics` at one moment."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        found = [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        for name, labels, value in found:
            self._samples.setdefault(name, []).append((labels, value))

    def total(self, name: str, **labels: str) -> float:
        """The sum of all series of a name that have these labels; 0 where there is none."""
        series = self._samples.get(name, [])
        return sum(value for own, value in series if labels.items() <= own.items())

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """The sums of a name's series by the values of one label."""
        sums: dict[str, float] = {}
        for own, value in self._samples.get(name, []):
            if labels.items() <= own.items() and label in own:
                sums[own[label]] = sums.get(own[label], 0.0) + value
        return sums

    @property
    def levels(self) -> dict[str, float]:
        """The gauges that should be 0 when all is done and are not."""
        found = {name: self.total(name) for name in LEVELS}
        found["asr_decode_workers{busy}"] = self.total("asr_decode_workers", state="busy")
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes hold: bytes of memory, descriptors and threads."""

    rss: int
    descriptors: int
    threads: int


class Server:
    """`asr-api serve` with the bundled model from start to end, for `with`.

    `settings` are those of `asr_api.settings` by their names; `url` is where files go, and the
    metrics and probes are on a port of their own. Folders of models and of the spool, the log
    and what is printed lie in `folder`; where None, in a new one, which goes at the end unless
    it was to `keep`.
    """

    def __init__(self, folder: Path | None = None, **settings: object) -> None:
        self._kept = folder is not None
        self.cores: Set[int] = frozenset()
        """Those that it may use, from its start on; all where there are none."""
        self.folder = folder or Path(tempfile.mkdtemp(prefix="asr-api-faults-"))
        self.spool = self.folder / "spool"
        self._log = self.folder / "log.jsonl"
        self._printed = self.folder / "printed.txt"
        self._ports = free_ports(2)
        chosen = {
            "model": "callsign",
            "port": self._ports[0],
            "admin_port": self._ports[1],
            "spool_dir": self.spool,
            "log_format": "json",
        }
        self._settings = {f"ASR_{name.upper()}": str(value) for name, value in (chosen | settings).items()}
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._ports[0]}"
        self.admin_url = f"http://127.0.0.1:{self._ports[1]}"
        self._admin = httpx2.Client(timeout=10, trust_env=False)
        self._lock = threading.Lock()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port for sockets."""
        return "127.0.0.1", self._ports[0]

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.running:
            self.stop()
        self._admin.close()
        if kind is None and not self._kept:
            shutil.rmtree(self.folder)

    @contextlib.contextmanager
    def started(self) -> Iterator[Self]:
        """For a server that was started by hand: on leaving, it is ended."""
        with contextlib.ExitStack() as stack:
            stack.push(self.__exit__)
            yield self

    def start(self) -> None:
        """Begin, and do not wait. The log of one folder goes on where it was."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "asr_api", "serve"]
        environ = environment(self.folder / "models", **self._settings)
        with self._log.open("ab") as log, self._printed.open("ab") as printed:
            self._process = subprocess.Popen(command, env=environ, stdout=printed, stderr=log, stdin=subprocess.DEVNULL)
        if self.cores:  # before it has children, which have the same
            os.sched_setaffinity(self._process.pid, self.cores)

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Ask `/readyz` until it is so. Raises RuntimeError where the process ends or the time passes before."""
        if not until(lambda: not self.running or self.state() == "ready", seconds) or not self.running:
            raise RuntimeError(f"the server is not ready: {self._log.read_text()[-2000:]}")

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def state(self) -> str:
        """What `/readyz` says, as `ready` or `restarting`; `unreachable` where nobody answers."""
        try:
            status: str = self._ask("/readyz").json()["status"]
        except (httpx2.HTTPError, ValueError, KeyError):
            return "unreachable"
        return status

    def metrics(self) -> Samples:
        """Raises httpx2.HTTPError."""
        return Samples(self._ask("/metrics").raise_for_status().text)

    def _ask(self, path: str) -> httpx2.Response:
        with self._lock:
            return self._admin.get(self.admin_url + path)

    def settled(self, seconds: float = 1.0) -> dict[str, float]:
        """Wait until all gauges that should be 0 are; returns those that are not `seconds` later."""
        until(lambda: not self.metrics().levels, seconds, 0.05)
        return self.metrics().levels

    def keep(self) -> Path:
        """Leave the folder as it is, for whoever looks into what was found."""
        self._kept = True
        return self.folder

    def log(self) -> list[dict[str, Any]]:
        """The events so far; a line that is no JSON is one with `message` and level `unreadable`."""
        text = self._log.read_text(encoding="utf-8", errors="replace")
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [_event(line) for line in lines]

    def printed(self) -> str:
        """What it wrote on standard output."""
        return self._printed.read_text(encoding="utf-8")

    def children(self) -> dict[int, str]:
        """The processes that this one started, directly or not, with their command lines."""
        return descendants(self.pid)

    def engine_pids(self) -> list[int]:
        """Those that hold a model; one where there is no GPU, and none while it is lost."""
        return [pid for pid, command in self.children().items() if ENGINE in command]

    def worker_pids(self) -> list[int]:
        """Those that decode files."""
        return [pid for pid, command in self.children().items() if WORKER in command]

    def usage(self) -> Usage:
        """What the process of the service holds by itself."""
        return usage_of(self.pid)

    def family_rss(self) -> int:
        """Bytes of memory of the service and all its children; what they share is counted for each."""
        return sum(_rss(pid) for pid in (self.pid, *self.children()))

    def stop(self, number: int = signal.SIGTERM, seconds: float = STOP_SECONDS) -> int:
        """Send a signal, wait, and return the exit code. Raises TimeoutExpired, after which it was killed."""
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)


def free_ports(count: int) -> list[int]:
    """Ports of this host that nobody listens on."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"message": line, "level": "unreadable"}


def usage_of(pid: int) -> Usage:
    """Raises FileNotFoundError where the process has ended."""
    return Usage(_rss(pid), len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))


def _rss(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
