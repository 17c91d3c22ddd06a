"""The parts of the accuracy run: what each makes of transcripts, and how they are joined."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
from benchmarks.harness.clips import Clip
from benchmarks.harness.metrics import Served
from tools.accuracy.command import MISSED, UNMEASURED, chosen, measured, run
from tools.accuracy.debian import NoPackages
from tools.accuracy.defaults import Found as Defaults
from tools.accuracy.defaults import Row
from tools.accuracy.heard import Heard, TimedSegment, TimedWord
from tools.accuracy.invariance import Invariance, Pair
from tools.accuracy.kept import AT_ONCE, Kept
from tools.accuracy.parts import PARTS, Part
from tools.accuracy.prompts import NOTHING, Reading
from tools.accuracy.prompts import Found as Prompts
from tools.accuracy.prompts import Row as Told
from tools.accuracy.report import Comparison, Report, Section
from tools.accuracy.scatter import draw, points_of
from tools.accuracy.scores import DEFAULTS, OURS, Score
from tools.accuracy.sides import hear_until

HOTWORDS = "hotwords: the names"


def clip(text: str, language: str = "en", name: str = "a.wav") -> Clip:
    return Clip(Path(name), language, text, 3.0)


def score(said: str, heard: str) -> Score:
    return Score.of(clip(said), Heard(heard, "en"))


@dataclass(frozen=True)
class Bars:
    """A part's finding with bars that were missed."""

    missed: Sequence[str]

    def __str__(self) -> str:
        return "a table"

    def as_json(self) -> dict[str, object]:
        return {"bars": len(self.missed)}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_part_is_a_module(part: Part) -> None:
    """A name in the table without a module of that name would only be found out in an hour."""
    assert find_spec(f"tools.accuracy.{part.name}")


def test_a_part_that_is_missing_is_an_error() -> None:
    """It is not passed over in silence."""
    with pytest.raises(ImportError):
        Part("nobody", "Nobody").measure(False)


class Ready(Part):
    """A part that has nothing to measure; it misses a bar where it is called so."""

    def measure(self, full: bool, **options: int) -> Bars:
        if self.name == "unmeasurable":
            raise NoPackages("this machine has no apt-get")
        return Bars([f"full: {full}, every: {options.get('every', 1)}"] if self.name == "missed" else [])


def test_a_run_tells_all_parts_and_fails_for_a_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All parts are measured and written down before the exit code says that a bar was missed."""
    figures = tmp_path / "figures.json"
    with pytest.raises(typer.Exit) as end:
        measured([Ready("missed", "First"), Ready("met", "Second")], full=True, json=figures, every=3)
    assert end.value.exit_code == MISSED
    written = json.loads(figures.read_text())
    assert (written["full"], written["every"], written["missed"]) == (True, 3, ["missed: full: True, every: 3"])
    told = capsys.readouterr()
    assert "## First\n\na table\n" in told.out
    assert "## Second\n\na table\n" in told.out
    assert "met, 2 of 2" in told.err


def test_a_run_without_missed_bars_ends_well() -> None:
    """There is no exit code then."""
    measured([Ready("met", "First")], full=False, json=None)


def test_a_part_that_cannot_be_measured_ends_the_run_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """And with an exit code of its own: nothing is known of its bars."""
    with pytest.raises(typer.Exit) as end:
        measured([Ready("unmeasurable", "First")], full=True, json=None)
    assert end.value.exit_code == UNMEASURED
    assert "unmeasurable: this machine has no apt-get" in capsys.readouterr().err


def test_a_part_that_nobody_wrote_is_refused_by_name() -> None:
    """With the names that there are."""
    with pytest.raises(typer.BadParameter, match="no part is called nobody; there are callsign, clips"):
        run(part=["nobody"])


def test_a_brief_run_has_the_parts_that_take_minutes() -> None:
    """A full one has all, and whoever names some gets those, in the order of telling."""
    brief = [part.name for part in chosen((), full=False)]
    assert brief == ["clips", "invariance", "contexts", "words", "silence", "long"]
    assert chosen((), full=True) == list(PARTS)
    assert [part.name for part in chosen(("language", "prompts"), full=False)] == ["prompts", "language"]


def test_report_has_the_bars_of_all_parts() -> None:
    """Each with the name of its part; without any it says so."""
    sections = [Section("clips", "Clips", Bars(["en: worse"])), Section("long", "Long files", Bars([]))]
    report = Report(sections, {"full": False})
    assert report.missed == ["clips: en: worse"]
    assert str(report).startswith("Missed: clips: en: worse\n")
    assert report.as_json()["parts"] == {"clips": {"bars": 1}, "long": {"bars": 0}}
    assert str(Report(sections[1:], {"full": False})).startswith("No bar was missed.")
    assert str(sections[0]) == "## Clips\n\na table"


def test_kept_transcripts_are_not_heard_again(tmp_path: Path) -> None:
    """By the content of recordings, in this process and in the next; the order is that of the clips."""
    clips = [clip(str(n), name=str(tmp_path / f"{n}.wav")) for n in range(AT_ONCE + 2)]
    for one in clips:
        one.path.write_text(one.text)
    asked: list[str] = []

    def hear(own: Sequence[Clip]) -> list[Heard]:
        asked.extend(one.text for one in own)
        return [Heard(one.text, "en", (TimedWord("a", 0, 1),), (TimedSegment("a", 0, 1, -0.5),)) for one in own]

    first = Kept(tmp_path / "kept.jsonl").hear(clips[1:], hear)
    again = Kept(tmp_path / "kept.jsonl").hear(clips, hear)
    assert [one.text for one in again] == [one.text for one in clips]
    assert again[1:] == first
    assert asked == [*(one.text for one in clips[1:]), clips[0].text]


@pytest.mark.parametrize(("until", "expected"), [(0.0, 16), (math.inf, 40)])
def test_when_the_time_is_up_all_sides_have_heard_the_same(until: float, expected: int) -> None:
    """The first few recordings are heard whatever it takes; then no more are begun, so no side is left behind."""
    clips = [clip(str(n)) for n in range(40)]
    turns: list[str] = []

    def hear(side: str, some: Sequence[Clip]) -> list[Heard]:
        turns.append(side)
        return [Heard(one.text, "en") for one in some]

    heard = hear_until(until, clips, {side: partial(hear, side) for side in (OURS, DEFAULTS)})
    assert [one.text for one in heard[OURS]] == [one.text for one in clips[:expected]]
    assert heard[DEFAULTS] == heard[OURS]
    assert turns == [OURS, DEFAULTS] * (len(turns) // 2)


def test_transcripts_of_other_weights_are_kept_apart(tmp_path: Path) -> None:
    """And so are those of other options."""
    for name in ("one", "other"):
        (tmp_path / name).write_text(name)
    recording = clip("a", name=str(tmp_path / "one"))
    answers = iter("abc")
    heard = [
        Kept.of(tmp_path / "kept", tmp_path / weights, side).hear([recording], lambda _: [Heard(next(answers), "en")])
        for weights, side in (("one", "x"), ("other", "x"), ("one", "y"), ("one", "x"))
    ]
    assert [one.text for (one,) in heard] == ["a", "b", "c", "a"]


def test_answers_are_the_same_but_for_their_scores() -> None:
    """Text, language and times must be equal; how far scores are apart is told beside it."""
    alone = Heard("one", "en", (), (TimedSegment("one", 0.0, 1.0, -0.25),))
    near = Heard("one", "en", (), (TimedSegment("one", 0.0, 1.0, -0.5),))
    late = Heard("one", "en", (), (TimedSegment("one", 0.1, 1.0, -0.25),))
    assert Pair(clip("one"), alone, near).same
    assert Pair(clip("one"), alone, near).off == 0.25
    assert not Pair(clip("one"), alone, late).same


def test_invariance_is_only_shown_by_batches() -> None:
    """No answer may differ, and no score in int8; and where nothing rode together, nothing was shown."""
    alone = Heard("one", "en", (), (TimedSegment("one", 0.0, 1.0, -0.25),))
    near = Heard("one", "en", (), (TimedSegment("one", 0.0, 1.0, -0.25 - 1e-7),))
    pairs = [Pair(clip("one"), alone, alone)]
    assert Invariance("int8", 1.0, 9.0, pairs).missed == []
    assert Invariance("int8", 1.0, 1.5, pairs).missed == ["int8: batches of 1.5 on average prove little"]
    assert Invariance("int8", 1.0, 9.0, [Pair(clip("one"), alone, near)]).missed == ["int8: scores are 1e-07 apart"]
    assert Invariance("float32", 1.0, 9.0, [Pair(clip("one"), alone, near)]).missed == []
    assert Invariance("int8", 1.0, 9.0, [Pair(clip("one"), alone, Heard("two", "en"))]).missed == [
        "int8: 1 answers differ"
    ]


def test_names_are_counted_apart_from_other_words() -> None:
    """A wrong name is no error of the rest; a wrong word is, and so is a name of the other list, which is invented."""
    said = clip("Digium makes the Asterisk PBX")
    found = Reading.of(said, Heard("Digital makes a Asterisk PBX, Ophelia.", "en"))
    assert (found.said, found.found, found.words, found.errors, found.invented) == (3, 2, 2, 2, 1)


def test_hotwords_must_help() -> None:
    """Fewer names right than without is a bar missed, and so are errors in the other words."""

    def row(way: str, heard: str) -> Told:
        return Told(way, "en", [Reading.of(clip("call Asterisk now please"), Heard(heard, "en"))], [])

    nothing = row(NOTHING, "call asterix now please")
    assert Prompts([nothing, row(HOTWORDS, "call Asterisk now please")]).missed == []
    assert Prompts([row(NOTHING, "call Asterisk now please"), row(HOTWORDS, "call asterix now please")]).missed == [
        f"en, {HOTWORDS}: 0 names right, 1 without"
    ]
    assert Prompts([nothing, row(HOTWORDS, "Asterisk")]).missed == [
        f"en, {HOTWORDS}: 100.0 (100.0 to 100.0) more errors in other words"
    ]


def defaults(good: str = "red green", other: str = "red green") -> Defaults:
    first = Row("5 beams", "int8", [score("red green", good)] * 12, 0.1, 0.2)
    return Defaults([first, Row("1 beam", "int8", [score("red green", other)] * 12, 0.05, 0.1).beside(first)])


def test_a_setting_that_is_better_than_the_default_is_a_bar_missed() -> None:
    """By more than chance explains; a worse one, or an equal one, is none."""
    assert defaults().missed == []
    assert defaults(other="red").missed == []
    assert defaults(good="red").missed == ["1 beam, int8: -50.0 (-50.0 to -50.0) points against the default"]


def test_settings_are_told_with_their_cost() -> None:
    """Beside the errors of each language; a language without recordings has a dash."""
    line = next(line for line in str(defaults(other="red")).splitlines() if line.startswith("| 1 beam"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    spread = "50.0 (50.0 to 50.0)"
    assert cells == ["1 beam", "int8", "50.0", "-", spread, spread, "0.050", "0.100"]


def test_drawing_has_a_point_a_setting() -> None:
    """Each with its name, inside the field; it is drawn from the figures that were kept as JSON."""
    report = Report([Section("defaults", "Decoding defaults", defaults(other="red"))], {"full": False})
    points = points_of(json.loads(json.dumps(report.as_json())))
    assert [(one.name, one.group, one.cost, one.errors) for one in points] == [
        ("5 beams, int8", "int8", 0.2, 0.0),
        ("1 beam, int8", "int8", 0.1, 50.0),
    ]
    root = ElementTree.fromstring(draw(points, "cost", "errors"))
    circles = [element for element in root if element.tag.endswith("circle")]
    assert [float(circle.attrib["cx"]) for circle in circles] == pytest.approx([696.0, 376.0])
    texts = [element.text or "" for element in root if element.tag.endswith("text")]
    assert {"1  5 beams, int8", "2  1 beam, int8"} <= set(texts)


def test_comparison_is_a_part_s_finding() -> None:
    """It says its bars, and is told under its heading."""
    sides = {OURS: [score("red", "")] * 12, DEFAULTS: [score("red", "red")] * 12}
    section = Section("clips", "Clips", Comparison(Served("1", "base", "cpu", "int8"), sides))
    assert section.missed[0].startswith("clips: en: asr-api makes")
    assert str(section).startswith("## Clips\n\nbase on cpu (int8)\n")
