"""What a figure without a server depends on."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from .machine import Machine, gpu_here, versions


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The load in a few words, and the machine, packages and day."""

    load: str
    machine: Machine = field(default_factory=Machine.here)
    gpu: str = field(default_factory=gpu_here)
    packages: dict[str, str] = field(default_factory=versions)
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        place = ", ".join(filter(None, [str(self.machine), self.gpu]))
        return f"{self.load}\n{place}; {packages}; {self.date[:10]}"

    def write_json(self, path: Path, rows: list[dict[str, object]], **facts: object) -> None:
        """With facts that hold for all rows."""
        path.write_text(json.dumps(asdict(self) | facts | {"rows": rows}, indent=2) + "\n", encoding="utf-8")
