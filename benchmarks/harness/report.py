"""What a script says at its end: where it was measured, as a sentence and as JSON."""

import json
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from .machine import Machine, gpu_here, versions
from .metrics import Served


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a figure depends on. With a server elsewhere, machine and packages are those of the client."""

    served: Served
    clips: int
    seed: int
    options: str = ""
    machine: Machine = field(default_factory=Machine.here)
    gpu: str = field(default_factory=gpu_here)
    packages: dict[str, str] = field(default_factory=versions)
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def place(self) -> str:
        """The processor or the GPU that computes."""
        return self.gpu if self.served.device == "cuda" and self.gpu else self.machine.cpu

    def __str__(self) -> str:
        served = self.served
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        place = ", ".join(filter(None, [str(self.machine), self.gpu]))
        return (
            f"{served.model} on {served.device} ({served.compute_type}){self.options and f', {self.options}'}; "
            f"{self.clips} clips, seed {self.seed}\n{place}; {packages}; {self.date[:10]}"
        )


def say(text: str) -> None:
    """To standard output: what is to be kept."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tell(text: str) -> None:
    """To standard error: how far it has come."""
    sys.stderr.write(f"{text}\n")


def write_json(path: Path, setting: Setting, rows: list[dict[str, object]]) -> None:
    path.write_text(json.dumps(asdict(setting) | {"rows": rows}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
