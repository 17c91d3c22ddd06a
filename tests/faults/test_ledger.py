"""The ledger itself: a balance is one, and whatever is missing or too much is found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.ledger import Ledger, Seen
from tests.faults.server import Samples

Counts = Mapping[str, float]

OK = 'asr_requests_total{endpoint="transcribe",outcome="ok"}'
OK_CODE = 'asr_http_responses_total{endpoint="transcribe",code="200"}'
CANCELLED = 'asr_requests_total{endpoint="transcribe",outcome="cancelled"}'
GONE_CODE = 'asr_http_responses_total{endpoint="transcribe",code="499"}'
IN_QUEUE = 'asr_client_disconnects_total{phase="queue"}'
IN_HEADERS = 'asr_client_disconnects_total{phase="headers"}'


def line(own: str, status: int | None = 200, outcome: str = "ok") -> dict[str, Any]:
    return {"level": "INFO", "message": "request", "id": own, "status": status, "outcome": outcome}


@dataclass
class FakeServer:
    """Says what a test has it say."""

    lines: list[dict[str, Any]]
    counts: Counts
    levels: dict[str, float] = field(default_factory=dict)
    running: bool = True

    def settled(self, seconds: float) -> dict[str, float]:
        return self.levels

    def metrics(self) -> Samples:
        return Samples("".join(f"{name} {count}\n" for name, count in self.counts.items()))

    def log(self) -> list[dict[str, Any]]:
        return [{"level": "INFO", "message": "ready"}, *self.lines]

    def keep(self) -> Path:
        return Path("kept")


ONE = [Seen("a", 200, right=True)]
ONE_LINE = [line("a")]
ONE_COUNT: Counts = {OK: 1.0, OK_CODE: 1.0}
LEFT = [Seen("a", None, left=True)]
LEFT_LINE = [line("a", 499, "cancelled")]
LEFT_COUNT: Counts = {CANCELLED: 1.0, GONE_CODE: 1.0, IN_QUEUE: 1.0}


def findings(seen: list[Seen], server: FakeServer) -> list[str]:
    ledger = Ledger(Samples(""), log_seconds=0.0)
    for one in seen:
        ledger.note(one)
    ledger.close(server, 0.0)
    return ledger.findings


@pytest.mark.parametrize(
    ("seen", "lines", "counts"),
    [
        (ONE, ONE_LINE, ONE_COUNT),
        (LEFT, LEFT_LINE, LEFT_COUNT),
        (LEFT, [line("a", None, "cancelled")], LEFT_COUNT),
        (LEFT, ONE_LINE, ONE_COUNT),
        (LEFT, ONE_LINE, {**ONE_COUNT, IN_QUEUE: 1.0}),
        ([Seen("a", None, left=True, reached=False)], [], {IN_HEADERS: 1.0}),
    ],
    ids=["answered", "left", "left at shutdown", "left when answered", "left within the answer", "left in the head"],
)
def test_a_ledger_that_balances_finds_nothing(
    seen: list[Seen], lines: list[dict[str, Any]], counts: dict[str, float]
) -> None:
    """Clients, log and metrics agree, also on those who left."""
    assert findings(seen, FakeServer(lines, counts)) == []


@pytest.mark.parametrize(
    ("seen", "server", "found"),
    [
        ([Seen("a", None)], FakeServer(ONE_LINE, ONE_COUNT), "without an answer: a"),
        ([*ONE, *ONE], FakeServer(ONE_LINE, ONE_COUNT), "noted more than once: a"),
        ([*ONE, Seen("b", 200)], FakeServer(ONE_LINE, ONE_COUNT), "without a line in the log: b"),
        (ONE, FakeServer([*ONE_LINE, *ONE_LINE], {OK: 2, OK_CODE: 2}), "several lines in the log: a"),
        (ONE, FakeServer([*ONE_LINE, line("b")], {OK: 2, OK_CODE: 2}), "nobody asked for: b"),
        ([Seen("a", 503)], FakeServer(ONE_LINE, ONE_COUNT), "another status in the log: a"),
        (ONE, FakeServer(ONE_LINE, {OK_CODE: 1}), "by outcome: ok is 0, the log has 1"),
        (ONE, FakeServer(ONE_LINE, {OK: 1}), "by code: 200 is 0, the log has 1"),
        (LEFT, FakeServer(LEFT_LINE, {**LEFT_COUNT, IN_QUEUE: 0}), "moved by 0 within requests, 1 were cancelled"),
        (LEFT, FakeServer(LEFT_LINE, {**LEFT_COUNT, IN_QUEUE: 2}), "moved by 2 within requests, 1 were cancelled"),
        (ONE, FakeServer(ONE_LINE, {**ONE_COUNT, IN_HEADERS: 1}), "0 clients left in the headers"),
        (ONE, FakeServer(ONE_LINE, ONE_COUNT, {"asr_queue_depth": 1.0}), "asr_queue_depth is 1"),
        ([Seen("a", 503)], FakeServer(ONE_LINE, {}, running=False), "another status in the log: a"),
    ],
)
def test_a_ledger_that_does_not_balance_says_where(seen: list[Seen], server: FakeServer, found: str) -> None:
    """Whatever is missing, twice, or different in one of the three is found, and the request is named."""
    (finding,) = findings(seen, server)
    assert found in finding
