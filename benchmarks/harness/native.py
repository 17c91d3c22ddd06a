"""The native threads' environment, as the service itself runs."""

import os
import sys

from asr_api.cli import NATIVE_THREADS


def with_native_threads() -> None:
    """Start this process anew unless its environment is the service's.

    OpenMP and OpenBLAS read theirs as they are loaded, which is before a script's own first line
    where it imports at its top, as it should.
    """
    missing = {name: value for name, value in NATIVE_THREADS.items() if name not in os.environ}
    if missing:
        os.execve(sys.executable, sys.orig_argv, os.environ | missing)
