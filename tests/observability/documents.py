"""The rules, dashboards and runbooks, read from their files."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
RULES_TEST = ROOT / "deploy" / "prometheus" / "rules_test.yaml"
PROMETHEUS = ROOT / "deploy" / "prometheus" / "prometheus.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
DASHBOARDS = ROOT / "grafana" / "dashboards"

Json = dict[str, Any]


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[Json]:
    """Every rule, in the order of the file."""
    return [rule for group in read_yaml(RULES)["groups"] for rule in group["rules"]]


def alerts() -> dict[str, Json]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> dict[str, str]:
    """The query of each recording rule."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def boards() -> dict[str, Json]:
    """Each dashboard by its file's name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(board: Json) -> list[Json]:
    """The panels that show something: without the titles of rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


@dataclass(frozen=True)
class Question:
    """A query of a panel as Grafana sends it, with all instances of a job chosen."""

    place: str
    written: str

    @property
    def expr(self) -> str:
        sent = self.written.replace("$__rate_interval", "5m")
        return sent.replace("$job", "asr-api").replace("$instance", ".+")


def questions() -> Iterator[Question]:
    """Every query of every panel."""
    for name, board in boards().items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Question(f"{name}: {panel['title']}: {target['refId']}", target["expr"])


def runbooks() -> dict[str, str]:
    """Each runbook's text by the path that alerts name; the index is none."""
    paths = (path for path in sorted(RUNBOOKS.glob("*.md")) if path.name != "README.md")
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def prose() -> dict[str, str]:
    """Every document that names metrics, by its path."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def shown_queries() -> Iterator[Question]:
    """Every block of PromQL in a runbook, line by line."""
    for path, text in runbooks().items():
        for block in re.findall(r"^```promql\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            yield from (Question(path, line) for line in block.splitlines() if line.strip())
