"""python -m tests.drain --rounds 100."""

import argparse
import sys
import tempfile
from pathlib import Path

from .rounds import run_rounds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drain", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as models:
        summary = run_rounds(asked.rounds, asked.seed, Path(models), lambda text: sys.stdout.write(text + "\n"))
    sys.stdout.write(f"{summary}\n")
    return int(bool(summary.ledger.lost or summary.faults))


if __name__ == "__main__":
    sys.exit(main())
