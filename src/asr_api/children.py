"""What a process does that lives for another one."""

import ctypes
import os
import select
import signal
import socket
import sys
import threading

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Let the kernel kill this process when the one that started it ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def close_inherited() -> None:
    """Close every file but the three standard ones, before any other is opened.

    asyncio's own loop leaves no others to a program that it starts; uvloop leaves it copies of those
    three, and whatever the parent itself was left.
    """
    os.closerange(3, 1 + max(int(name) for name in os.listdir("/dev/fd")))


def end_with(connection: socket.socket) -> None:
    """End this process, whatever it is doing, when the other end of the connection is closed.

    So it ends too where its parent was gone before `die_with_parent`, and where there is none such.
    """

    def watch() -> None:
        hangup = select.poll()
        hangup.register(connection, 0)  # a hang-up is always told, and nothing else is wanted
        hangup.poll()
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()
