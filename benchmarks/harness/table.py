"""Rows in Markdown, so wide that they are also read as plain text."""

from collections.abc import Sequence


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with its columns aligned: the first to the left, figures to the right."""
    widths = [max(3, *(len(row[column]) for row in (header, *rows))) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "".join(f"| {' | '.join(_aligned(row, widths))} |\n" for row in (header, rule, *rows))


def figure(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    return figure(None if share is None else 100 * share, 1)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
