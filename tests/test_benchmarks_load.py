"""The instruments of the service under load and of a whole GPU: their parts, and one run of each."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.harness.campaign import LARGE, TURBO, Step, full, rehearsal, steps
from benchmarks.harness.clips import Clip, clips_for, read_clips
from benchmarks.harness.composed import distinct
from benchmarks.harness.curve import COLOURS, INK, Line, Panel, draw_curve, round_up
from benchmarks.harness.figures import Figures
from benchmarks.harness.load_rows import Row, fault
from benchmarks.harness.loop import Answer, Run
from benchmarks.harness.machine import gpu_here
from benchmarks.harness.metrics import Counters
from benchmarks.harness.mixes import MIXES, Clips, Mixed, write_mix
from benchmarks.harness.observed import Observed
from benchmarks.harness.processes import cpu_by_role, family
from hypothesis import given
from hypothesis import strategies as st

from asr_api.gpu import GpuFacts, GpuReport

ROOT = Path(__file__).parents[1]
SVG = "{http://www.w3.org/2000/svg}"
WHITE, BLACK = "#ffffff", "#0d1117"
"""GitHub's pages."""

RECORDING = Clip(Path("a.wav"), "en", "alpha bravo charlie delta", 4)


def row(text: str = RECORDING.text, alone: str = RECORDING.text, error: str | None = None) -> Row:
    run = Run(2, (Answer(RECORDING, 1.0, text, error),), 2.0)
    counted = Counters(batches=2, chunks=6, busy_seconds=1, cpu_seconds=0.5)
    seen = Observed(counted, {"service": 0.5, "engine": 3.0}, others_cores=0.1, vram_peak=None)
    return Row.of(run, seen, {RECORDING.path: alone})


def test_row_tells_who_took_the_processor() -> None:
    """Cores by kind of process over the run, and seconds of all for a second of audio; dashes for what is not known."""
    taken = row()
    assert taken.cores == {"service": 0.25, "engine": 1.5}
    assert taken.cpu_per_audio_second == pytest.approx(3.5 / 4)
    assert (taken.mean_batch, taken.busy_workers) == (3, 0.5)
    assert taken.cells()[10:16] == ["0.25", "1.50", "-", "0.10", "0.8750", "-"]


def test_words_are_held_against_those_of_the_recording_alone() -> None:
    """A model's own mistakes are none of the load's; what changes under load is."""
    misread = row("alpha bravo charlie", alone="alpha bravo charlie")
    assert (misread.figures.word_errors, misread.changed) == (0.25, 0)
    assert fault([misread], exactly=False) is None
    assert fault([misread], exactly=True) == "1 answers are not exact"
    assert fault([row(), row("alpha bravo charlie")], exactly=False) == "in 1 runs the words were others than alone"
    assert fault([row(error="503")], exactly=False) == "1 requests were not answered"


@given(count=st.integers(1, 300), seed=st.integers(0, 99))
def test_mix_has_its_shares_and_something_of_each_length(count: int, seed: int) -> None:
    """The seed decides the order only."""
    recordings = {
        seconds: [replace(RECORDING, path=Path(f"{seconds}-{n}"), seconds=seconds) for n in range(3)]
        for seconds in MIXES["realistic"]
    }
    mixed = Mixed(MIXES["realistic"], recordings)
    drawn = mixed.draw(count, seed)
    times = Counter(clip.seconds for clip in drawn)
    assert drawn == mixed.draw(count, seed)
    assert count - len(times) <= len(drawn) <= count + len(times)
    for seconds, share in MIXES["realistic"].items():
        assert times[seconds] >= 1
        assert abs(times[seconds] - share * count) <= 1


def test_mixes_are_whole() -> None:
    """Shares add up."""
    assert all(sum(shares.values()) == pytest.approx(1) for shares in MIXES.values())


def test_recordings_of_a_mix_are_as_long_as_they_say(tmp_path: Path) -> None:
    """Speech of known words, nearly as long as the length, in as many files as differ."""
    clips = distinct(read_clips(clips_for("callsign")[0]))
    mixed = write_mix({5: 0.5, 70: 0.5}, clips, tmp_path, seed=1)
    short, long = mixed.recordings[5], mixed.recordings[70]
    assert (len(short), len(long)) == (6, 1)
    assert all(clip.path.is_file() and 2 < clip.seconds <= 5 for clip in short)
    assert len({clip.text for clip in short}) > 1
    assert 65 < long[0].seconds <= 70
    assert len(long[0].text.split()) > 50
    assert Clips(clips).draw(3, 1) != Clips(clips).draw(3, 2)


def process(proc: Path, pid: int, children: str, command: str, ticks: int) -> None:
    """A folder as Linux has one for each process (proc(5))."""
    (proc / f"{pid}/task/{pid}").mkdir(parents=True)
    (proc / f"{pid}/task/{pid}/children").write_text(children)
    (proc / f"{pid}/cmdline").write_bytes(command.replace(" ", "\0").encode())
    (proc / f"{pid}/stat").write_text(f"{pid} (a (b) c) S " + "0 " * 10 + f"{ticks} {ticks} 0 0")


def test_processor_time_is_told_by_process(tmp_path: Path) -> None:
    """The service's own, its engine's, and that of all decode workers; one that has just ended is left out."""
    process(tmp_path, 1, "2 3", "python -m asr_api serve", 100)
    process(tmp_path, 2, "", "python -P -m asr_api.engine.child json", 200)
    process(tmp_path, 3, "4 5", "python -I -m asr_api.audio.worker 1 2", 300)
    process(tmp_path, 4, "", "python -I -m asr_api.audio.worker 1 2", 400)
    tick = 2 / os.sysconf("SC_CLK_TCK")
    assert sorted(family(1, tmp_path)) == [1, 2, 3, 4, 5]
    assert cpu_by_role(1, tmp_path) == {"service": 100 * tick, "engine": 200 * tick, "decoding": 700 * tick}


def test_gpus_are_part_of_the_machine() -> None:
    """By name and driver, and nothing where there is none."""
    gpu = GpuFacts(0, "NVIDIA L4", "GPU-0", "580.1", (12, 8), (8, 9), 0, 1)
    assert gpu_here(lambda: GpuReport((gpu, gpu))) == "NVIDIA L4 + NVIDIA L4, driver 580.1"
    assert gpu_here(lambda: GpuReport(fault="no NVML")) == ""


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance."""
    parts = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(colour: str, page: str) -> float:
    lighter, darker = sorted((luminance(colour), luminance(page)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("page", [WHITE, BLACK])
def test_drawing_is_legible_on_light_and_dark_pages(page: str) -> None:
    """WCAG 2 asks a contrast of 3 of what is drawn; text has 4 on both, where 4.4 is all that one colour can have."""
    assert contrast(INK, page) > 4
    assert all(contrast(colour, page) > 3 for colour in COLOURS)


def test_drawing_has_each_value_at_its_place() -> None:
    """A dot for each value that there is, higher ones higher, within the panel; names are escaped."""
    panel = Panel("a < b", [Line("p50", [1, None, 4]), Line("p99", [2, 3, 7.9])])
    root = ElementTree.fromstring(draw_curve("caption & more", "users", ["1", "8", "64"], [panel, panel]))
    dots = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in root.iter(f"{SVG}circle")]
    assert len(dots) == 2 * 5
    left = dots[:5]
    assert [y for _, y in left] == [219.0, 144.0, 194.0, 169.0, 46.5]
    assert left[0][0] == left[2][0] < left[3][0] < left[1][0] == left[4][0]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"a < b", "caption & more", "users", "64", "p99", "8"} <= set(texts)


@given(st.floats(1e-6, 1e6))
def test_axis_ends_at_a_round_number(value: float) -> None:
    """It exceeds the greatest value, but is not twice as large."""
    assert value <= round_up(value) * (1 + 1e-6)
    assert round_up(value) <= 2 * value * (1 + 1e-6)


def options_of(script: str) -> set[str]:
    command = [sys.executable, f"benchmarks/{script}", "--help"]
    wide = os.environ | {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    shown = subprocess.run(command, cwd=ROOT, env=wide, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--[a-z][a-z-]+", shown))


def test_steps_use_options_that_there_are() -> None:
    """No step of hours on a GPU ends at its first line; each has a name of its own."""
    planned = steps(full({LARGE: "large", TURBO: "turbo"}))
    assert len({step.name for step in planned}) == len(planned)
    for script, group in itertools.groupby(sorted(planned, key=lambda step: step.script), key=lambda step: step.script):
        used = {option.split("=")[0] for step in group for option in step.options}
        assert used <= options_of(script)


def test_rehearsal_has_every_kind_of_step() -> None:
    """What a GPU is asked is rehearsed: the same scripts with the same options, with fewer values."""

    def kinds(planned: list[Step]) -> set[str]:
        return {re.sub(r"-(\d+|realistic)$", "", step.name) for step in planned}

    assert kinds(steps(rehearsal("callsign"))) == kinds(steps(full({LARGE: "large", TURBO: "turbo"})))


@pytest.mark.long
@pytest.mark.e2e
def test_gpu_is_measured_by_one_command(tmp_path: Path) -> None:
    """Two of its steps, scaled down, on a CPU: the engine's calls and the service under load, with their words,
    their JSON, a drawing, and a summary.
    """
    only = "--only=engine-contexts,load-mix"
    command = [sys.executable, "benchmarks/gpu.py", "--rehearse", only, f"--out={tmp_path / 'results'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "results"
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert [(step["name"], step["exit_code"]) for step in summary["rows"]] == [
        ("engine-contexts", 0),
        ("load-mix-5", 0),
    ]
    assert "| load-mix-5" in (out / "summary.md").read_text(encoding="utf-8")
    (out / ".gitignore").read_text(encoding="utf-8")
    load = json.loads((out / "load-mix-5.json").read_text(encoding="utf-8"))
    assert {"served", "machine", "gpu", "packages", "date", "seed"} <= load.keys()
    assert [row["figures"]["concurrency"] for row in load["rows"]] == [1, 2]
    for taken in load["rows"]:
        assert (taken["figures"]["errors"], taken["changed"]) == (0, 0)
        assert taken["figures"]["p50"] <= taken["figures"]["p95"] <= taken["figures"]["p99"]
        if sys.platform == "linux":
            assert taken["cores"].keys() == {"service", "engine", "decoding"}
    drawing = ElementTree.parse(out / "load-mix-5.svg").getroot()
    assert len(list(drawing.iter(f"{SVG}circle"))) == 2 * 4


@pytest.mark.long
@pytest.mark.e2e
def test_arrivals_wait_for_nobody(tmp_path: Path) -> None:
    """An open loop offers its rate, and asks everything once."""
    out = tmp_path / "open.json"
    options = ["--model=callsign", "--concurrency=", "--rates=8", "--requests=4", "--mix=5", f"--json={out}"]
    command = [sys.executable, "benchmarks/load.py", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (taken,) = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert (taken["offered"], taken["figures"]["requests"], taken["figures"]["errors"]) == (8, 4, 0)
    assert Figures(**taken["figures"]).concurrency == 0
