"""Short runs of the campaigns: what `make faults` does at length."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.faults.disconnects import disconnects
from tests.faults.engine_faults import crash_loop, hangs, kills
from tests.faults.ledger import Verdict
from tests.faults.poison import poison
from tests.faults.service_faults import service_kill

SEED = 1


@pytest.fixture(scope="module", autouse=True)
def given_up() -> Iterator["Future[Verdict]"]:
    """A crash loop, which is pauses for the most part, beside the other tests."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(crash_loop, seed=SEED)


@pytest.mark.long
@pytest.mark.e2e
def test_an_engine_that_is_killed_costs_nobody_an_answer() -> None:
    """Three kills under load: every request is answered once, with its words, and the engine is back within 2 s."""
    assert kills(seed=SEED, count=3).findings == ()


@pytest.mark.long
@pytest.mark.e2e
def test_an_engine_that_hangs_is_found_out_and_replaced() -> None:
    """A frozen engine under load: it is killed when a call takes too long, and no request is lost."""
    assert hangs(seed=SEED, count=1).findings == ()


@pytest.mark.long
@pytest.mark.e2e
def test_a_service_that_is_killed_leaves_nothing_behind() -> None:
    """Its children are gone within 2 s, no file is left, and the next start is like the first."""
    assert service_kill(seed=SEED, count=1).findings == ()


@pytest.mark.long
@pytest.mark.e2e
def test_clients_that_leave_take_all_they_had_along() -> None:
    """Three in each of six phases: each is counted where it was, nothing is held for it, others notice nothing."""
    assert disconnects(seed=SEED, count=3).findings == ()


@pytest.mark.long
@pytest.mark.e2e
def test_an_engine_that_never_lives_is_given_up(given_up: "Future[Verdict]") -> None:
    """Exit code 70 and the reason in the log; whoever waited is told to try again elsewhere."""
    assert given_up.result().findings == ()


def test_poison_spoils_no_other_chunk() -> None:
    """A hundred batches: mates get their results, each poison chunk its own error, and calls are bounded."""
    assert poison(seed=SEED, count=100).findings == ()
