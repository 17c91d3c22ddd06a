"""Write the dashboards that Grafana is given.

python -m tools.dashboards
"""

from pathlib import Path

from tools.dashboards.board import Board, written
from tools.dashboards.engine import ENGINE
from tools.dashboards.internals import INTERNALS
from tools.dashboards.overview import OVERVIEW

FOLDER = Path(__file__).parents[2] / "grafana" / "dashboards"


def files() -> dict[Path, str]:
    """Each dashboard's file and what is in it."""
    return {path_of(board): written(board.to_json()) + "\n" for board in (OVERVIEW, ENGINE, INTERNALS)}


def path_of(board: Board) -> Path:
    return FOLDER / f"{board.uid.removeprefix('asr-')}.json"


def main() -> None:
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
