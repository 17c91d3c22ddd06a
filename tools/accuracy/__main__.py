"""Accuracy of the service on real recordings, part by part.

python -m tools.accuracy                               # six parts, on what the repository carries: some minutes
python -m tools.accuracy --full --json accuracy.json   # all of them, on Debian's recordings too: an hour
python -m tools.accuracy --part clips --part prompts
"""

import os

import typer

from asr_api.cli import NATIVE_THREADS


def main() -> None:
    """All sides get the service's settings for native threads, which libraries read as they are loaded."""
    for name, value in NATIVE_THREADS.items():
        os.environ.setdefault(name, value)
    from tools.accuracy.command import run  # only now: it loads those libraries

    typer.run(run)


if __name__ == "__main__":
    main()
