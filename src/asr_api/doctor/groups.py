"""What the kernel grants this process's control group, in either version of them."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 1 << 60
"""What version 1 calls no limit is a number near 2**63."""


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """The limits of a process, the least of its group's and of those above it; None where there is none.

    `proc` is the process's folder in /proc, `root` where the groups are mounted.
    """

    proc: Path = Path("/proc/self")
    root: Path = Path("/sys/fs/cgroup")

    def memory(self) -> int | None:
        """In bytes."""
        return self._least("memory", "memory.max", "memory.limit_in_bytes")

    def cores(self) -> float | None:
        """Cores that may be kept busy."""
        return min(self._quotas(), default=None)

    def tasks(self) -> int | None:
        """Processes and threads."""
        return self._least("pids", "pids.max")

    def tasks_now(self) -> int:
        """Processes and threads that there are; 0 where it is not told."""
        counts = (_number(folder / "pids.current") for folder in self._folders("pids"))
        return next((count for count in counts if count is not None), 0)

    def _quotas(self) -> Iterator[float]:
        for folder in self._folders("cpu"):
            with suppress(OSError, ValueError):  # "max" is no number, and no limit
                quota, period = (folder / "cpu.max").read_text().split()
                yield int(quota) / int(period)
            quota_us, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
            if quota_us and period_us and quota_us > 0:
                yield quota_us / period_us

    def _least(self, controller: str, *names: str) -> int | None:
        values = (_number(folder / name) for folder in self._folders(controller) for name in names)
        return min((value for value in values if value is not None and value < UNLIMITED), default=None)

    def _folders(self, controller: str) -> Iterator[Path]:
        """The group's folder and all above it. In a container the mount may begin at the group itself."""
        with suppress(OSError):
            for line in (self.proc / "cgroup").read_text().splitlines():
                _, controllers, path = line.split(":", 2)
                if controllers and controller not in controllers.split(","):
                    continue
                top = self.root / controller if controllers else self.root
                group = top / path.lstrip("/")
                yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None
