"""A drawing of throughput and latency against concurrency, legible on light and on dark pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

INK: Final = "#797979"
"""Of text and axes: as far from GitHub's white as from its black."""

COLOURS: Final = ("#3b82f6", "#2f9e5b", "#c77d0a", "#dd5566")

WIDTH, HEIGHT = 720, 300
LEFT, TOP, PANEL, TALL, GAP = 56, 44, 284, 200, 76
"""Pixels: of both panels' place and size, and between them."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a line shows, and its value at each place of the axis; None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Panel:
    """A title with its unit, and lines that share an axis which begins at 0."""

    title: str
    lines: Sequence[Line]

    @property
    def top(self) -> float:
        """A round number that no value exceeds."""
        return round_up(max((value for line in self.lines for value in line.values if value is not None), default=1))


def round_up(value: float) -> float:
    """The next of 1, 2, 3, 4, 6, 8 and 10, times a power of ten."""
    if value <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 3, 4, 6, 8, 10) if step * power >= value * (1 - 1e-9))


def draw_curve(caption: str, axis: str, places: Sequence[str], panels: Sequence[Panel]) -> str:
    """An SVG of up to two panels side by side over the same places, which are evenly spaced."""
    drawn = "".join(_panel(panel, axis, places, LEFT + number * (PANEL + GAP)) for number, panel in enumerate(panels))
    style = f"font:12px system-ui,sans-serif;fill:{INK}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" style="{style}"><title>{escape(caption)}</title>'
        f"{_text(LEFT, 16, caption, 'start')}{drawn}</svg>\n"
    )


def _panel(panel: Panel, axis: str, places: Sequence[str], left: float) -> str:
    right, bottom = left + PANEL, TOP + TALL
    marks = [_text(_x(n, len(places), left), bottom + 16, place) for n, place in enumerate(places)]
    scale = [_level(panel.top * share, panel.top, left) for share in (0, 0.25, 0.5, 0.75, 1)]
    lines = [
        _line(line, colour, panel.top, left, number)
        for number, (line, colour) in enumerate(zip(panel.lines, COLOURS, strict=False))
    ]
    title = _text(left, TOP - 10, panel.title, "start")
    return "".join([title, *scale, *marks, _text((left + right) / 2, bottom + 34, axis), *lines])


def _level(value: float, top: float, left: float) -> str:
    """A thin line across, with its number."""
    y = _y(value, top)
    rule = f'<path d="M{left} {y:.1f}h{PANEL}" stroke="{INK}" stroke-width="{1 if value == 0 else 0.3}"/>'
    return rule + _text(left - 6, y + 4, f"{value:g}", "end")


def _line(line: Line, colour: str, top: float, left: float, number: int) -> str:
    """The line with a dot at each value, and its name at the top left in the same colour."""
    points = [
        (_x(n, len(line.values), left), _y(value, top)) for n, value in enumerate(line.values) if value is not None
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
    name = f'<text x="{left + 10}" y="{TOP + 16 + 16 * number}" fill="{colour}">{escape(line.name)}</text>'
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}{name}'


def _x(number: int, count: int, left: float) -> float:
    return left + PANEL * (number + 0.5) / count


def _y(value: float, top: float) -> float:
    return TOP + TALL * (1 - value / top)


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
