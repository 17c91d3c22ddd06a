"""Accuracy of the service beside faster-whisper's own transcription.

    python -m tools.accuracy --part all --json accuracy.json

Needs `apt-get install espeak-ng` the first time; the recordings made with it are kept.
"""

import os

import typer

from asr_api.cli import NATIVE_THREADS


def main() -> None:
    """Both sides get the service's settings for native threads, which libraries read as they are loaded."""
    for name, value in NATIVE_THREADS.items():
        os.environ.setdefault(name, value)
    from tools.accuracy.command import run  # only now: it loads those libraries

    typer.run(run)


if __name__ == "__main__":
    main()
