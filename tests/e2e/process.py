"""The real server as a process of its own, on a free port."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Self

import httpx2

START_SECONDS = 120
STOP_SECONDS = 30


def environment(model_dir: Path, **settings: str) -> dict[str, str]:
    """The process's environment with our settings and no others."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASR_")}
    return inherited | {"ASR_MODEL_DIR": str(model_dir), "ASR_OFFLINE": "1"} | settings


def asr_api(*arguments: str, environ: dict[str, str], **options: int) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [sys.executable, "-m", "asr_api", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=START_SECONDS, check=False)


class ServerProcess:
    """`asr-api serve` from start to end; `lines` are what it printed until it was ready."""

    def __init__(self, *arguments: str, environ: dict[str, str]) -> None:
        command = [sys.executable, "-m", "asr_api", "serve", "--port", "0", *arguments]
        self._process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._printed: Queue[str] = Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        for reader in self._readers:
            reader.start()
        try:
            while not any(line.startswith("docs:") for line in self.lines):
                self.lines.append(self._next_line())
        except BaseException:
            self._process.kill()
            raise
        return self

    def _next_line(self) -> str:
        line = self._printed.get(timeout=START_SECONDS)
        if not line:
            raise RuntimeError("the server ended before it was ready: " + "".join(self._errors))
        return line

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._printed.put(line)
        self._printed.put("")

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        found = re.search(r"docs:\s+(\S+)/docs", self.lines[-1])
        assert found is not None
        return found[1]

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=300, trust_env=False)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        self._process.send_signal(number)
        code = self._process.wait(STOP_SECONDS)
        for reader in self._readers:
            reader.join(STOP_SECONDS)
        return code

    @property
    def log(self) -> str:
        """What it wrote on standard error; complete after `stop`."""
        return "".join(self._errors)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.stop()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


class Counters:
    """Samples of `/metrics` at one moment."""

    def __init__(self, client: httpx2.Client) -> None:
        text = client.get("/metrics").text
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        self._samples = {name: float(value) for name, value in pairs}

    def __getitem__(self, name: str) -> float:
        return self._samples[name]
