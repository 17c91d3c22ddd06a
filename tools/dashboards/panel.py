"""One panel of a dashboard: what it asks of Prometheus, and how it is drawn."""

from dataclasses import dataclass
from typing import Literal

Json = dict[str, object]
Kind = Literal["stat", "timeseries", "heatmap", "state-timeline", "table"]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}

HERE = 'job=~"$job",instance=~"$instance"'
"""What `@here` stands for in a query: the instances that are chosen above the dashboard."""

WINDOW = "$__rate_interval"
"""What `@window` stands for: the shortest range that holds enough samples for a rate at this zoom."""


@dataclass(frozen=True, slots=True)
class Target:
    """A query with `@here` and `@window`, and what its lines are called in the legend."""

    expr: str
    legend: str = ""

    def to_json(self, ref: str, kind: Kind) -> Json:
        query: Json = {
            "refId": ref,
            "datasource": DATASOURCE,
            "expr": self.expr.replace("@here", HERE).replace("@window", WINDOW),
            "legendFormat": self.legend or "__auto",
        }
        if kind == "heatmap":
            query |= {"format": "heatmap", "legendFormat": "{{le}}"}
        if kind == "table":
            query |= {"format": "table", "instant": True}
        return query


@dataclass(frozen=True, slots=True)
class Panel:
    """`steps` are the values from which a number is shown in a colour, `names` what numbers are shown as."""

    title: str
    description: str
    unit: str
    targets: tuple[Target, ...]
    kind: Kind = "timeseries"
    width: int = 8
    stacked: bool = False
    most: float | None = None
    decimals: int | None = None
    steps: tuple[tuple[float | None, str], ...] = ((None, "text"),)
    names: tuple[tuple[int, str, str], ...] = ()

    @property
    def height(self) -> int:
        return 4 if self.kind == "stat" else 8

    def to_json(self, number: int, x: int, y: int) -> Json:
        """The panel as Grafana keeps it, with its upper left corner at (x, y) of a grid of 24 columns."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
            "targets": [target.to_json(chr(65 + n), self.kind) for n, target in enumerate(self.targets)],
        }

    def _defaults(self) -> Json:
        defaults: Json = {"unit": self.unit}
        if self.kind == "timeseries":
            defaults |= {"min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}}
        if self.stacked:
            defaults["custom"] = {"fillOpacity": 40, "showPoints": "never", "stacking": {"mode": "normal"}}
        if self.most is not None:
            defaults["max"] = self.most
        if self.decimals is not None:
            defaults["decimals"] = self.decimals
        if self.kind in ("stat", "state-timeline"):
            steps = [{"value": value, "color": colour} for value, colour in self.steps]
            defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        if self.names:
            options = {str(value): {"text": text, "color": colour} for value, text, colour in self.names}
            defaults["mappings"] = [{"type": "value", "options": options}]
        return defaults

    def _options(self) -> Json:
        match self.kind:
            case "stat":
                return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
            case "timeseries":
                return {"legend": {"displayMode": "list"}, "tooltip": {"mode": "multi", "sort": "desc"}}
            case "heatmap":
                return {"calculate": False, "yAxis": {"unit": self.unit}, "cellGap": 1}
            case "state-timeline":
                return {"showValue": "auto", "mergeValues": True}
            case "table":
                return {"showHeader": True}


def quantiles(histogram: str, *levels: float, by: tuple[str, ...] = ()) -> tuple[Target, ...]:
    """Quantiles of a histogram, one line for each level and each value of the labels `by`."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    rate = f"sum by ({', '.join(('le', *by))}) (rate({histogram}_bucket{{@here}}[@window]))"
    return tuple(
        Target(f"histogram_quantile({level}, {rate})", f"p{100 * level:g} {legend}".strip()) for level in levels
    )


def mean(histogram: str, *, by: str = "") -> tuple[Target, ...]:
    """The mean of what a histogram observed, one line for each value of the label `by`."""
    total, count = (
        f"sum{f' by ({by}) ' if by else ''}(rate({histogram}_{part}{{@here}}[@window]))" for part in ("sum", "count")
    )
    return (Target(f"{total} / {count}", f"{{{{{by}}}}}" if by else "mean"),)
