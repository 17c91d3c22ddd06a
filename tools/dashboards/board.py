"""A dashboard: rows of panels, and what stands above them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tools.dashboards.panel import DATASOURCE, HERE, Json, Panel

COLUMNS = 24
"""Of Grafana's grid."""

SCHEMA = 42
"""The last version of Grafana's classic dashboard model."""

BOARDS = {"asr-overview": "Overview", "asr-engine": "Engine and GPU", "asr-internals": "Internals"}

WIDTH = 118
"""Characters of a line of the files."""


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    uid: str
    description: str
    rows: tuple[Row, ...]

    def to_json(self) -> Json:
        """The dashboard as Grafana keeps it, without what it adds by itself."""
        return {
            "uid": self.uid,
            "title": f"asr-api / {BOARDS[self.uid]}",
            "description": self.description,
            "tags": ["asr-api"],
            "schemaVersion": SCHEMA,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "browser",
            "links": [_link(uid, title) for uid, title in BOARDS.items() if uid != self.uid],
            "annotations": {"list": [STARTS, ALERTS]},
            "templating": {"list": [SOURCE, JOB, INSTANCE]},
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[Json]:
        """Each row's title over its panels, which run from left to right."""
        number, y = 1, 0
        for row in self.rows:
            place: Json = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
            yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
            number, x, y = number + 1, 0, y + 1
            for panel in row.panels:
                if x + panel.width > COLUMNS:
                    x, y = 0, y + panel.height
                yield panel.to_json(number, x, y)
                number, x = number + 1, x + panel.width
            y += row.panels[-1].height


def _link(uid: str, title: str) -> Json:
    return {
        "type": "link",
        "title": title,
        "url": f"/d/{uid}",
        "icon": "dashboard",
        "includeVars": True,
        "keepTime": True,
    }


def _choice(name: str, label: str, query: str) -> Json:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


SOURCE: Json = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
JOB = _choice("job", "Job", "label_values(asr_ready, job)")
INSTANCE = _choice("instance", "Instance", 'label_values(asr_ready{job=~"$job"}, instance)')

STARTS: Json = {
    "name": "Starts",
    "datasource": DATASOURCE,
    "enable": True,
    "iconColor": "blue",
    "expr": f"process_start_time_seconds{{{HERE}}} * 1000",
    "useValueForTime": True,
    "titleFormat": "started",
    "textFormat": "{{instance}}",
}
ALERTS: Json = {
    "name": "Alerts",
    "datasource": DATASOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": 'ALERTS{alertstate="firing",alertname=~"Asr.+",job=~"$job"}',
    "titleFormat": "{{alertname}}",
    "textFormat": "{{instance}}",
}


def written(value: object, indent: int = 0) -> str:
    """JSON with one space a level, in which what fits on a line is on one."""
    short = json.dumps(value, ensure_ascii=False)
    if indent + len(short) <= WIDTH or not isinstance(value, dict | list) or not value:
        return short
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        items = [f"{pad}{json.dumps(key)}: {written(item, indent + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + written(item, indent + 1) for item in value) + "\n" + " " * indent + "]"
