"""A drawing of errors against cost, a point a decoding setting, legible on light and on dark pages.

python -m tools.accuracy.defaults --full --json defaults.json
python -m tools.accuracy.scatter defaults.json docs/accuracy-defaults.svg
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Annotated, Any

import typer
from benchmarks.harness.curve import COLOURS, INK, round_up

WIDTH, HEIGHT = 720, 400
LEFT, TOP, WIDE, TALL = 56, 44, 640, 300
"""Pixels: of the drawing, and of the field's place and size in it."""
ROOM = 1.5
"""How much higher the field is than the highest interval, for the names above it."""
STEPS = (0.25, 0.5, 0.75, 1)


@dataclass(frozen=True, slots=True)
class Point:
    """A setting: its cost, and its errors with the bounds of their interval; `group` decides the colour."""

    name: str
    group: str
    cost: float
    errors: float
    low: float
    high: float


def run(
    figures: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="what `--json` wrote")],
    svg: Annotated[Path, typer.Argument(help="file to draw to")],
) -> None:
    """Draw the decoding settings of a report."""
    points = points_of(json.loads(figures.read_text(encoding="utf-8")))
    svg.write_text(draw(points, "processor seconds a second of audio", "word errors, %, with 95 % intervals"))


def points_of(report: dict[str, Any]) -> list[Point]:
    """The settings in a report's part `defaults`, in percent. Raises KeyError where it has none."""
    return [
        Point(
            name,
            name.rpartition(", ")[2] if not name.startswith("faster-whisper") else "faster-whisper",
            row["cpu"],
            *(100 * row["errors"][bound] for bound in ("value", "low", "high")),
        )
        for name, row in report["parts"]["defaults"].items()
    ]


def draw(points: Sequence[Point], across: str, upward: str) -> str:
    """An SVG with both axes from 0. The points are numbered, and named below the title in the same order."""
    right, top = round_up(max(one.cost for one in points)), round_up(ROOM * max(one.high for one in points))
    groups = list(dict.fromkeys(one.group for one in points))
    colours = dict(zip(groups, COLOURS, strict=False))
    marks = [_mark(number, one, right, top, colours[one.group]) for number, one in enumerate(points, start=1)]
    names = [_name(number, one, colours[one.group]) for number, one in enumerate(points, start=1)]
    scales = [_level(top * share, top) + _place(right * share, right) for share in STEPS]
    frame = f'<path d="M{LEFT} {TOP}v{TALL}h{WIDE}" fill="none" stroke="{INK}"/>'
    caption = f"Decoding settings: {upward} against {across}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" style="font:12px system-ui,sans-serif;fill:{INK}"><title>{escape(caption)}</title>'
        f"{_text(LEFT, 16, upward, 'start')}{frame}{''.join([*scales, *marks, *names])}"
        f"{_text(LEFT + WIDE / 2, TOP + TALL + 38, across)}</svg>\n"
    )


def _mark(number: int, point: Point, right: float, top: float, colour: str) -> str:
    """A dot with its interval as a thin line, and its number."""
    x, y = _x(point.cost, right), _y(point.errors, top)
    whisker = f'<path d="M{x:.1f} {_y(point.high, top):.1f}V{_y(point.low, top):.1f}" stroke="{colour}"/>'
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    return f"{whisker}{dot}{_text(x + 7, y - 5, str(number), 'start')}"


def _name(number: int, point: Point, colour: str) -> str:
    """In the upper part of the field, which is left free: two columns."""
    column, row = divmod(number - 1, 6)
    x, y = LEFT + 14 + 300 * column, TOP + 14 + 16 * row
    return f'<text x="{x}" y="{y}" fill="{colour}">{number}  {escape(point.name)}</text>'


def _level(value: float, top: float) -> str:
    y = _y(value, top)
    rule = f'<path d="M{LEFT} {y:.1f}h{WIDE}" stroke="{INK}" stroke-width="0.3"/>'
    return rule + _text(LEFT - 6, y + 4, f"{value:g}", "end")


def _place(value: float, right: float) -> str:
    return _text(_x(value, right), TOP + TALL + 18, f"{value:g}")


def _x(value: float, right: float) -> float:
    return LEFT + WIDE * value / right


def _y(value: float, top: float) -> float:
    return TOP + TALL * (1 - value / top)


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    typer.run(run)
