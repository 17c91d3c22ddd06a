"""Processes that a test starts and watches: the service and its Prometheus."""

import re
import subprocess
import threading
import time
from collections.abc import Callable
from queue import Empty, Queue
from typing import Any, Self

import httpx2

START_SECONDS = 60
STOP_SECONDS = 20
PAUSE = 0.1
"""Seconds between two looks at a condition."""


class Running:
    """A process from its start to its end; `found` is the match in the line that says it is ready."""

    def __init__(self, command: list[str], ready: str, environ: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
        )
        self._ready = re.compile(ready)
        self._printed: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        self._reader.start()
        try:
            self.found = self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            self._printed.put(line)
        self._printed.put("")

    def _wait(self) -> re.Match[str]:
        try:
            while line := self._printed.get(timeout=START_SECONDS):
                if match := self._ready.search(line):
                    return match
        except Empty:
            pass
        raise RuntimeError("never said that it is ready: " + "".join(self.lines[-20:]))

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __exit__(self, *_: object) -> None:
        self._end()


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look at a condition until it holds; False where it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


class PrometheusApi:
    """Questions to a running Prometheus."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.Client(base_url=url, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ready(self) -> bool:
        """Whether it answers questions; before that it says 503 in plain words."""
        return self._client.get("/-/ready").status_code == 200

    def vector(self, query: str) -> dict[str, float]:
        """The samples of a query by their labels, with a scalar as the one without; NaN stays NaN."""
        data = self._get("query", query=query)
        if data["resultType"] == "scalar":
            return {"{}": float(data["result"][1])}
        return {str(sample["metric"]): float(sample["value"][1]) for sample in data["result"]}

    def alerts(self, state: str) -> set[str]:
        """The names of the alerts in a state: `pending` or `firing`."""
        found = self._get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == state}

    def rule_errors(self) -> list[str]:
        """What went wrong when rules were last evaluated."""
        groups = self._get("rules")["groups"]
        return [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]

    def _get(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]
