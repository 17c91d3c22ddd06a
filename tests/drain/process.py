"""The real server, started as an operator would, and ended by signals."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Queue
from types import MappingProxyType, TracebackType
from typing import Self

import httpx2

START_SECONDS = 60


class RealServer:
    """`asr-api serve` with the bundled model and an admin port; `settings` are variables of its environment.

    `descriptors` is how many it may have. With `ready`, entering waits until it serves, else only
    until its admin port, which is then given, answers.
    """

    def __init__(
        self,
        model_dir: Path,
        settings: Mapping[str, str] = MappingProxyType({}),
        *,
        descriptors: int | None = None,
        ready: bool = True,
    ) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASR_")}
        ours = {"ASR_MODEL": "callsign", "ASR_MODEL_DIR": str(model_dir), "ASR_OFFLINE": "1", "ASR_PORT": "0"}
        limit = [] if descriptors is None else ["prlimit", f"--nofile={descriptors}:{descriptors}"]
        self._process = subprocess.Popen(
            [*limit, sys.executable, "-m", "asr_api", "serve"],
            env=inherited | ours | {"ASR_ADMIN_PORT": "0"} | dict(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._ready = ready
        self._settings = settings
        self._printed: Queue[str] = Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._log, daemon=True),
        ]
        self.port = self.admin = 0

    def __enter__(self) -> Self:
        for reader in self._readers:
            reader.start()
        try:
            self._wait()
        except BaseException:
            self._close()
            raise
        return self

    def _wait(self) -> None:
        if not self._ready:
            self.admin = int(self._settings["ASR_ADMIN_PORT"])
            transport = httpx2.HTTPTransport(retries=20)
            with httpx2.Client(base_url=f"http://127.0.0.1:{self.admin}", transport=transport) as probe:
                probe.get("/livez")
            return
        text = ""
        while "docs:" not in text:
            line = self._printed.get(timeout=START_SECONDS)
            if not line:
                raise RuntimeError("the server ended before it was ready: " + self.log)
            text += line
        self.admin, self.port = (int(port) for port in re.findall(r"(?:admin|docs):\s+http://[^:]+:(\d+)", text))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._printed.put(line)
        self._printed.put("")

    def _log(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)

    @property
    def log(self) -> str:
        """What it wrote on standard error."""
        return "".join(self._errors)

    def probe(self, path: str) -> httpx2.Response:
        """What its admin port says."""
        return httpx2.get(f"http://127.0.0.1:{self.admin}{path}", timeout=20, trust_env=False)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self, seconds: float) -> tuple[int, float]:
        """The exit code, and the seconds until it was there. Raises TimeoutExpired."""
        began = time.monotonic()
        code = self._process.wait(seconds)
        took = time.monotonic() - began
        for reader in self._readers:
            reader.join(seconds)
        return code, took

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        for reader in self._readers:
            reader.join(START_SECONDS)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
