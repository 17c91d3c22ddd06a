"""The page of faults, held to: whoever reads that a test shows something finds that test."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.faults.__main__ import CAMPAIGNS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "faults.md"

SECTIONS = {
    "Transport and upload": "T",
    "Audio content": "A",
    "Prompt, text and output": "P",
    "Queue and batching": "Q",
    "Engine and GPU": "E",
    "Process and operations": "S",
    "Access": "X",
}
"""The letter that the ids of a section begin with."""

TEST = re.compile(r"`(tests/[\w/]+\.py)::((?:Test\w+::)?test_\w+)`")
PROGRAM = re.compile(r"`python -m ([\w.]+)((?: [\w-]+)*)`")
REASON = re.compile(r"no test: \w.+")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, cell by cell."""

    section: str
    id: str
    fault: str
    behaviour: str
    shown: str


def rows() -> list[Row]:
    found, section = [], ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif re.match(r"\| [A-Z]\d", line):
            found.append(Row(section, *(cell.strip() for cell in line.strip("|").split("|"))))
    return found


ROWS = rows()


@cache
def functions_of(path: str) -> set[str]:
    """The functions of a file as pytest names them, with their class; none where there is no such file."""
    if not (ROOT / path).is_file():
        return set()
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    return names_in(body) | {f"{one.name}::{name}" for one in classes for name in names_in(one.body)}


def names_in(body: Sequence[ast.stmt]) -> set[str]:
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def is_program(module: str) -> bool:
    """Whether `python -m` finds it."""
    place = ROOT.joinpath(*module.split("."))
    return place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_says_what_happens_and_what_shows_it(row: Row) -> None:
    """A fault, what the service does, and nothing in the last cell but links, or the reason why there are none."""
    assert row.fault
    assert row.behaviour
    links = [piece.strip() for piece in row.shown.split("`, `")]
    whole = [f"`{piece.strip('`')}`" for piece in links]
    assert REASON.fullmatch(row.shown) or all(TEST.fullmatch(link) or PROGRAM.fullmatch(link) for link in whole)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_what_a_row_links_exists(row: Row) -> None:
    """The file and the function of each test; each program, with its campaigns."""
    missing = [f"{path}::{name}" for path, name in TEST.findall(row.shown) if name not in functions_of(path)]
    missing += [module for module, _ in PROGRAM.findall(row.shown) if not is_program(module)]
    named = {name for module, names in PROGRAM.findall(row.shown) if module == "tests.faults" for name in names.split()}
    assert (missing, named - CAMPAIGNS.keys()) == ([], set())


@pytest.mark.parametrize("section", SECTIONS)
def test_ids_are_counted_from_one_without_gaps(section: str) -> None:
    """In each section by its own letter, so that an id stands for one fault for good."""
    ids = [row.id for row in ROWS if row.section == section]
    assert ids == [f"{SECTIONS[section]}{number}" for number in range(1, len(ids) + 1)]
    assert ids


def test_no_row_stands_elsewhere() -> None:
    """Each is in one of the sections, of which there are seven."""
    assert {row.section for row in ROWS} == SECTIONS.keys()
