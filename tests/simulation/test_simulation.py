"""The invariants of queue and admission under simulated load, faults and disconnects."""

import pytest

from tests.simulation.world import simulate

STEPS = 2_000
KEPT = (1,)
"""Seeds that failed once: 1, a delay too small for the clock to pass."""


@pytest.mark.parametrize("seed", sorted({*range(10), *KEPT}))
def test_invariants_hold_at_every_step(seed: int) -> None:
    """2,000 steps a seed: nobody waits for ever, nothing is decoded twice or lost, all bounds hold."""
    world = simulate(seed, STEPS)
    assert world.steps >= STEPS


def test_the_simulation_meets_every_kind_of_end() -> None:
    """It would prove little if no request were ever refused, late, poisoned, cancelled or answered."""
    ends = sum((simulate(seed, STEPS).ends for seed in range(100, 106)), start=simulate(99, STEPS).ends)
    assert ends.keys() >= {"ok", "cancelled", "engine_error", "deadline_exceeded", "queue_full"}
    assert ends["ok"] > 1000


def test_a_seed_tells_the_whole_story() -> None:
    """The same seed is the same run, so that a failure can be looked into."""
    first, second = simulate(7, STEPS), simulate(7, STEPS)
    assert (first.ends, first.engine.calls, first.steps) == (second.ends, second.engine.calls, second.steps)
