"""Short runs of the campaigns under pressure; `python -m tests.faults --long` has the full ones.

No test here looks at a duration: the campaigns report those, and judge them where they are `strict`.
"""

import pytest

from tests.faults.bad_requests import case
from tests.faults.endurance import Holdings, endurance, leaks, slope
from tests.faults.overload import overload
from tests.faults.raw import Reply
from tests.faults.slow_clients import slow_clients
from tests.faults.wire import DOCUMENTED, fault_of, wire

TWO_CALLS = 100 << 20
"""Bytes: in so short a run two engine calls take their most at once or not, at one load 961 to 1090 MB in all."""

ENVELOPE = b'{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"wrong"}}'


@pytest.mark.long
@pytest.mark.e2e
def test_more_than_can_be_done_is_refused_at_once_and_nothing_is_lost() -> None:
    """Every answer is 200, or 503 with Retry-After; memory stays, and log and metrics agree with the clients."""
    verdict = overload(seed=1, seconds=3, times=5, places=16, most=TWO_CALLS)
    assert not verdict.findings, verdict.text


@pytest.mark.long
@pytest.mark.e2e
def test_slow_clients_are_sent_away_and_idle_ones_may_stay() -> None:
    """Heads and bodies that come byte by byte end at their limits; what asks properly is answered."""
    verdict = slow_clients(seed=1, requests=8, crawlers=40, bodies=40, idlers=150, seconds=8)
    assert not verdict.findings, verdict.text


@pytest.mark.long
@pytest.mark.e2e
def test_requests_leave_nothing_behind() -> None:
    """Memory, descriptors and threads are those of before, once all is answered."""
    verdict = endurance(seed=1, count=32, warm_up=32)
    assert not verdict.findings, verdict.text


@pytest.mark.long
@pytest.mark.e2e
def test_what_is_no_request_gets_a_documented_answer_or_a_closed_connection() -> None:
    """And no process is lost by it, nor anything still in progress afterwards."""
    verdict = wire(seed=1, count=300)
    assert not verdict.findings, verdict.text


def test_a_case_is_the_same_for_the_same_numbers() -> None:
    """So that a finding can be made again from what its line says."""
    assert [case(3, number) for number in range(200)] == [case(3, number) for number in range(200)]


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (Reply(200, {}, b"{}"), ""),
        (Reply(400, {"x-request-id": "1"}, ENVELOPE), ""),
        (Reply(400, {}, ENVELOPE), "400 without an id"),
        (Reply(503, {"x-request-id": "1"}, ENVELOPE), "503 without Retry-After"),
        (Reply(404, {"x-request-id": "1"}, b"not found"), "404 without an envelope: b'not found'"),
        (Reply(500, {"x-request-id": "1"}, ENVELOPE), f"status 500: {ENVELOPE!r}"),
    ],
)
def test_an_answer_is_judged_by_status_envelope_and_headers(reply: Reply, fault: str) -> None:
    """A campaign that finds nothing is only worth what its judge would find."""
    assert fault_of(reply, headless=False) == fault


def test_an_internal_error_is_not_documented() -> None:
    """A status of 500 is always a finding."""
    assert 500 not in DOCUMENTED


def holdings(requests: int, memory: int, **counts: int) -> Holdings:
    return Holdings(
        requests,
        memory,
        0,
        0,
        **({"descriptors": 9, "of_engine": 9, "of_workers": 9, "threads": 9, "tasks": 9} | counts),
    )


def test_growth_is_told_in_bytes_a_request() -> None:
    """A line through all looks, so that one look does not decide."""
    assert slope([holdings(0, 1_000), holdings(10, 2_000), holdings(20, 3_000)]) == pytest.approx(100)


def test_a_thread_more_is_a_leak_and_a_thread_less_is_not() -> None:
    """Only what grows is told."""
    assert leaks([holdings(0, 0), holdings(9, 0, threads=10)]) == ["threads went from 9 to 10"]
    assert leaks([holdings(0, 0), holdings(9, 0, tasks=10)]) == ["tasks went from 9 to 10"]
    assert leaks([holdings(0, 0), holdings(9, 0, threads=8, descriptors=8)]) == []
