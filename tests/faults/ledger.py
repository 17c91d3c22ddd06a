"""What clients saw, what the log says and what was counted, joined request by request: nothing may be lost."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.faults.server import Samples, until

GONE = 499
"""The status in the log of a request whose client went away; never sent."""

SHOWN = 10
"""Ids that a finding names."""

AUDIO = ("transcribe", "transcriptions", "translations")
"""The endpoints whose requests are logged one by one."""

LOG_SECONDS = 5.0
"""What the log, which a thread writes, may take for its last line."""


class Server(Protocol):
    """What a ledger asks of `tests.faults.server.Server`."""

    @property
    def running(self) -> bool: ...
    def settled(self, seconds: float) -> dict[str, float]: ...
    def metrics(self) -> Samples: ...
    def log(self) -> list[dict[str, Any]]: ...
    def keep(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client knows of one request.

    `status` is None where no answer came. `right` says whether the words were the right ones,
    None where that was not asked. `left` is set where the client went away on purpose, and
    `reached` is not where it did so before the request was one.
    """

    id: str
    status: int | None
    right: bool | None = None
    left: bool = False
    reached: bool = True
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a campaign found: a text for people, and what must not be; none of that is a pass."""

    text: str
    findings: tuple[str, ...]


@dataclass(slots=True)
class Ledger:
    """One for each run of a server, begun before the first request with `Ledger.of(server)`.

    Any number of threads or tasks `note` what they saw; `close` reads log and metrics when all
    is done, and puts what does not fit into `findings`.
    """

    before: Samples
    logged: int = 0
    prefix: str = "request"
    seen: list[Seen] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    counted: dict[str, float] = field(default_factory=dict)
    left: dict[str, float] = field(default_factory=dict)
    kept: str = ""
    log_seconds: float = LOG_SECONDS
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @classmethod
    def of(cls, server: Server, prefix: str = "request") -> "Ledger":
        """A ledger of what the server is asked from now on, with ids that begin with `prefix`."""
        return cls(server.metrics(), len(requests_in(server.log())), prefix)

    def id(self) -> str:
        """A new id, for the header `x-request-id`."""
        return f"{self.prefix}-{next(self._numbers)}"

    def note(self, seen: Seen) -> None:
        """Write down what came of a request; each one exactly once."""
        self.seen.append(seen)

    def found(self, text: str, ids: Iterable[str] = ()) -> None:
        """Write down what must not be, and the requests that it is about."""
        named = sorted(ids)
        shown = ", ".join(named[:SHOWN]) + (f" and {len(named) - SHOWN} more" if len(named) > SHOWN else "")
        self.findings.append(f"{text}: {shown}" if named else text)

    def close(self, server: Server, settle: float = 1.0) -> None:
        """Compare all three, or clients and log where the server has ended.

        Call when no request is under way; gauges have `settle` seconds to be 0 again.
        """
        if server.running:
            self._compare_all(server, settle)
        else:
            self.lines = requests_in(server.log())[self.logged :]
            self._compare_log()
        self.keep(server)

    def keep(self, server: Server) -> None:
        """Keep the log of the server where something was found."""
        if self.findings:
            self.kept = str(server.keep())

    def _compare_all(self, server: Server, settle: float) -> None:
        for name, value in server.settled(settle).items():
            self.found(f"{name} is {value:g}, {settle:g} s after the last request")
        expected = sum(seen.reached for seen in self.seen)
        until(lambda: len(requests_in(server.log())) - self.logged >= expected, self.log_seconds, 0.1)
        self.lines = requests_in(server.log())[self.logged :]
        after = server.metrics()
        self._compare_log()
        self._compare_metrics(after)

    def _compare_log(self) -> None:
        ids = Counter(seen.id for seen in self.seen)
        self._tell("noted more than once", (one for one, count in ids.items() if count > 1))
        self._tell("without an answer", (seen.id for seen in self.seen if seen.status is None and not seen.left))
        lines = Counter(str(line.get("id")) for line in self.lines)
        reached = {seen.id: seen for seen in self.seen if seen.reached}
        self._tell("without a line in the log", reached.keys() - lines.keys())
        self._tell("with a line in the log that nobody asked for", lines.keys() - reached.keys())
        self._tell("with several lines in the log", (one for one, count in lines.items() if count > 1))
        statuses = {str(line.get("id")): line for line in self.lines}
        differing = [one for one, seen in reached.items() if one in statuses and not _fits(seen, statuses[one])]
        self._tell("with another status in the log", differing)

    def _tell(self, text: str, ids: Iterable[str]) -> None:
        named = list(ids)
        if named:
            self.found(f"{len(named)} requests {text}", named)

    def _compare_metrics(self, after: Samples) -> None:
        outcomes = Counter(str(line["outcome"]) for line in self.lines)
        self.counted = moved(self.before, after, "outcome", "asr_requests_total")
        self._equal("asr_requests_total by outcome", self.counted, outcomes)
        codes = Counter(str(line["status"] or GONE) for line in self.lines)
        answered = moved(self.before, after, "code", "asr_http_responses_total", endpoints=AUDIO)
        self._equal("asr_http_responses_total by code", answered, codes)
        self._compare_leaving(moved(self.before, after, "phase", "asr_client_disconnects_total"))

    def _compare_leaving(self, left: dict[str, float]) -> None:
        """A client that leaves before its answer is a cancelled request; one that leaves with a part of it still
        to be taken, when the server's work is done, is counted as well, and its request is logged as answered.
        """
        self.left = dict(left)
        known = {seen.id for seen in self.seen if seen.left}
        cancelled = sum(line["outcome"] == "cancelled" for line in self.lines)
        answered = sum(line["outcome"] != "cancelled" and line["id"] in known for line in self.lines)
        within = sum(value for phase, value in left.items() if phase != "headers")
        if not cancelled <= within <= cancelled + answered:
            self.found(f"asr_client_disconnects_total moved by {within:g} within requests, {cancelled} were cancelled")
        before = sum(seen.left and not seen.reached for seen in self.seen)
        if left.get("headers", 0) != before:
            self.found(f"{before} clients left in the headers, asr_client_disconnects_total has {left}")

    def _equal(self, name: str, counted: Mapping[str, float], logged: Mapping[str, int]) -> None:
        for key in sorted(counted.keys() | logged.keys()):
            if counted.get(key, 0) != logged.get(key, 0):
                self.found(f"{name}: {key} is {counted.get(key, 0):g}, the log has {logged.get(key, 0)}")

    @property
    def right(self) -> int:
        """Requests with status 200 and the right words."""
        return sum(seen.status == 200 and seen.right is not False for seen in self.seen)

    @property
    def stayed(self) -> int:
        """Requests whose client waited for the answer."""
        return sum(not seen.left for seen in self.seen)

    def verdict(self, text: str) -> Verdict:
        """With the table under the text."""
        return Verdict(f"{text}\n{self.table()}", tuple(self.findings))

    def table(self) -> str:
        """Counts by what clients saw, what was logged and what was counted."""
        saw = Counter("left" if seen.left else str(seen.status) for seen in self.seen)
        statuses = Counter(str(line["status"]) for line in self.lines)
        wrong = sum(seen.right is False for seen in self.seen)
        rows = [
            ("clients", f"{len(self.seen)}", _listed(saw)),
            ("wrong words", f"{wrong}", ""),
            ("log", f"{len(self.lines)}", _listed(statuses)),
            ("metrics", f"{sum(self.counted.values()):g}", _listed(self.counted)),
            ("left in", f"{sum(self.left.values()):g}", _listed(self.left)),
            *([("kept in", "", self.kept)] if self.kept else []),
        ]
        return "".join(f"  {name:12} {count:>7}  {parts}\n" for name, count, parts in rows)


def _fits(seen: Seen, line: Mapping[str, Any]) -> bool:
    """Whether the log says what the client saw; who left may have been answered, or not."""
    if seen.status is None and not seen.left:
        return True  # it is told of already
    if seen.left:
        return line["outcome"] == "cancelled" or seen.status in (None, line["status"])
    return bool(line["status"] == seen.status)


def _listed(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {count:g}" for name, count in sorted(counts.items()) if count)


def requests_in(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that end a request about audio."""
    return [event for event in events if event.get("message") == "request" and "outcome" in event]


def moved(before: Samples, after: Samples, label: str, name: str, endpoints: Sequence[str] = ("",)) -> dict[str, float]:
    """By how much a counter's series moved, summed by one label; without those that did not.

    Of some endpoints only, where these are named.
    """
    sums: Counter[str] = Counter()
    for endpoint in endpoints:
        chosen = {"endpoint": endpoint} if endpoint else {}
        sums.update(after.by(label, name, **chosen))
        sums.subtract(before.by(label, name, **chosen))
    return {value: change for value, change in sums.items() if change}
