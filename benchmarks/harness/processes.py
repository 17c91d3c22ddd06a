"""Processor time of a process and of all that it started, from Linux's /proc."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final

PROC: Final = Path("/proc")

SERVICE = "service"
ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {"asr_api.engine.child": "engine", "asr_api.audio.worker": "decoding"}
)
"""What the service's processes do, by the modules that they run."""


def cpu_seconds(pid: int, proc: Path = PROC) -> float:
    """Of all threads so far (proc_pid_stat(5): utime and stime). Raises OSError where it has ended."""
    fields = (proc / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family(pid: int, proc: Path = PROC) -> Iterator[int]:
    """The process, and those that it started, and so on; those that end meanwhile are left out."""
    yield pid
    for task in (proc / str(pid) / "task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            for child in task.read_text(encoding="utf-8").split():
                yield from family(int(child), proc)


def cpu_by_role(pid: int, proc: Path = PROC) -> dict[str, float]:
    """Seconds so far of the service, its engine and its decode workers, the last two over all their processes."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for member in family(pid, proc):
        with suppress(OSError):
            seconds[role_of(member, proc)] += cpu_seconds(member, proc)
    return dict(seconds)


def role_of(pid: int, proc: Path = PROC) -> str:
    """By its command line. Raises OSError where it has ended."""
    words = (proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return next((role for module, role in ROLES.items() if module in words), SERVICE)
