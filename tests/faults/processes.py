"""Processes as the kernel tells of them."""

import contextlib
import os
from collections.abc import Iterator, Set
from pathlib import Path

ENDED = ("Z", "X")
"""States of processes of which only the exit code is left."""


def descendants(pid: int) -> dict[int, str]:
    """All processes below one that live, with their command lines; zombies are none."""
    parents = dict(_parents())
    found: dict[int, str] = {}
    for one in parents:
        above = parents[one]
        while above in parents and above != pid:
            above = parents[above]
        if above == pid:
            found[one] = command_of(one)
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """Each process that is no zombie, and its parent."""
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and (fields := _stat(int(entry))) and fields[0] not in ENDED:
            yield int(entry), int(fields[1])


def _stat(pid: int) -> list[str]:
    """State, parent and more of a process; nothing where there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode().split()
    return []


def command_of(pid: int) -> str:
    """The command line of a process, empty where it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in ENDED


def memory_files(pid: int) -> int:
    """Files without a name, in memory alone, that a process has open: what it shares with its children."""
    targets = list[str]()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            targets.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return sum(target.startswith("/memfd:") for target in targets)


@contextlib.contextmanager
def on_a_core_of_its_own() -> Iterator[Set[int]]:
    """This thread on one core, and the others, which are left; none are where there is one core only."""
    cores = os.sched_getaffinity(0)
    own = {max(cores)} if len(cores) > 1 else cores
    os.sched_setaffinity(0, own)
    try:
        yield cores - own
    finally:
        os.sched_setaffinity(0, cores)
