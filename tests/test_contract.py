"""The twelve clauses of the batching contract, and the test that holds each."""

import re
from pathlib import Path

import pytest

CLAUSES = {
    "a batch is formed only when a worker is free, of one key, of at most max_batch_size": [
        "test_a_batch_is_formed_only_when_a_worker_is_free",
        "test_items_of_one_batch_share_their_key",
    ],
    "first come first served inside a key; across keys the oldest head first; no key starves": [
        "test_first_come_first_served_inside_a_key",
        "test_no_key_starves",
    ],
    "every accepted item ends in exactly one way": ["test_every_caller_ends", "test_invariants_hold_at_every_step"],
    "one value or exception an item, the number checked": [
        "test_a_wrong_number_of_answers_is_never_dealt_out",
        "test_after_a_wrong_count_each_item_is_tried_alone_once",
    ],
    "an engine error fails that call only, and each caller has its own exception": [
        "test_only_the_guilty_item_fails",
        "test_the_queue_lives_on_after_a_failure",
        "test_each_caller_gets_its_own_exception",
    ],
    "a cancelled or expired item costs no engine time": [
        "test_a_cancelled_item_costs_no_engine_time",
        "test_an_item_that_expires_in_the_queue_is_never_run",
    ],
    "cancellation of a caller is passed on": ["test_cancellation_of_a_running_item_spares_its_mates"],
    "full is refused at once, before audio is read; closing too": [
        "test_a_full_queue_refuses_at_once",
        "test_places_are_counted_and_given_back",
    ],
    "closing drains, and past the drain time the rest are told": [
        "test_close_serves_what_waits_and_takes_no_more",
        "test_a_cancelled_worker_leaves_nobody_waiting",
    ],
    "when the loop ends, waiters fail and readiness turns false": [
        "test_a_worker_that_dies_of_a_bug_fails_its_waiters",
        "test_a_worker_that_ends_fails_the_service",
    ],
    "time is the loop's, and the delay counts from the oldest arrival": [
        "test_the_delay_counts_from_the_oldest_arrival"
    ],
    "the same audio gives the same text alone and in a full batch": [
        "test_an_answer_does_not_depend_on_its_neighbours",
    ],
}


@pytest.fixture(scope="module")
def names() -> set[str]:
    """Every test function there is."""
    sources = (path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py"))
    return {name for source in sources for name in re.findall(r"def (test_\w+)", source)}


@pytest.mark.parametrize("clause", CLAUSES)
def test_the_clause_is_held_by_tests(clause: str, names: set[str]) -> None:
    """A test that is renamed or dropped takes its clause along."""
    assert set(CLAUSES[clause]) <= names


def test_there_are_twelve() -> None:
    """No clause is dropped either."""
    assert len(CLAUSES) == 12
