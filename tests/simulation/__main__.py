"""`python -m tests.simulation [STEPS] [FIRST_SEED]`: a long simulation; prints the seeds that fail."""

import logging
import sys
from collections import Counter

from tests.simulation.world import simulate

STEPS_A_SEED = 10_000


def main() -> int:
    """Exit code 1 where an invariant broke."""
    logging.disable(logging.CRITICAL)  # the faults are scripted
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    done, failed, ends = 0, [], Counter[str]()
    while done < total:
        try:
            world = simulate(seed, STEPS_A_SEED)
            done, ends = done + world.steps, ends + world.ends
        except (AssertionError, RuntimeError) as error:
            failed.append(seed)
            sys.stdout.write(f"seed {seed}: {error}\n")
            done += STEPS_A_SEED
        seed += 1
    sys.stdout.write(f"{done} steps, {seed} seeds up to {seed - 1}, failed: {failed or 'none'}; ends: {dict(ends)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
