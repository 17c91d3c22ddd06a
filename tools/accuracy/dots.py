"""A drawing of values by row, a dot for each side, legible on light and on dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.harness.curve import COLOURS, INK, round_up

LEFT, RIGHT, TOP, LINE = 150, 16, 58, 20
"""Pixels: of the names' column, the margin, the caption with the key, and a row."""
WIDTH = 720


@dataclass(frozen=True, slots=True)
class Dot:
    """A value, and the interval that is drawn through it."""

    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A name and a dot for each side."""

    name: str
    dots: Sequence[Dot]


def draw_dots(caption: str, sides: Sequence[str], rows: Sequence[Row]) -> str:
    """An SVG of at most four sides on an axis that begins at 0; what lies beyond its end is drawn at its end."""
    top = round_up(max(dot.value for row in rows for dot in row.dots))
    height = TOP + LINE * len(rows) + 34
    drawn = "".join(_row(row, top, TOP + LINE * (number + 0.5)) for number, row in enumerate(rows))
    style = f"font:12px system-ui,sans-serif;fill:{INK}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" style="{style}"><title>{escape(caption)}</title><text x="0" y="16">{escape(caption)}</text>'
        f"{_key(sides)}{_axis(top, height)}{drawn}</svg>\n"
    )


def _key(sides: Sequence[str]) -> str:
    x, parts = float(LEFT), []
    for side, colour in zip(sides, COLOURS, strict=False):
        parts.append(f'<circle cx="{x}" cy="36" r="4" fill="{colour}"/><text x="{x + 8}" y="40">{escape(side)}</text>')
        x += 26 + 6.2 * len(side)
    return "".join(parts)


def _axis(top: float, height: int) -> str:
    """Thin lines from top to bottom, with their numbers."""
    bottom = height - 30
    lines = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, width = _x(top * share, top), 1 if share == 0 else 0.3
        lines.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="{INK}" stroke-width="{width}"/>')
        lines.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{top * share:g}</text>')
    return "".join(lines)


def _row(row: Row, top: float, y: float) -> str:
    name = f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(row.name)}</text>'
    pairs = list(zip(row.dots, COLOURS, strict=False))
    drawn = [_dot(dot, colour, top, y) for dot, colour in reversed(pairs)]  # so that the first is seen
    return name + "".join(drawn)


def _dot(dot: Dot, colour: str, top: float, y: float) -> str:
    circle = f'<circle cx="{_x(dot.value, top):.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    if dot.interval is None:
        return circle
    low, high = (_x(end, top) for end in dot.interval)
    return f'<path d="M{low:.1f} {y:.1f}H{high:.1f}" stroke="{colour}" stroke-width="2"/>{circle}'


def _x(value: float, top: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, value / top)
