"""What a check found."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact of one check: whether it stands in the way of the service, and what to do if it does."""

    check: str
    status: Status
    fact: str
    advice: str = ""


def worst(findings: Iterable[Finding]) -> Status:
    """The status of the whole."""
    found = {finding.status for finding in findings}
    return "failure" if "failure" in found else "warning" if "warning" in found else "ok"


def gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
