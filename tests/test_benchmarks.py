"""The benchmarks' own arithmetic: a figure is only worth what this is."""

import json
from pathlib import Path

import pytest
from benchmarks.harness.clips import Choice, Clip, choose, clips_for, draw, read_clips
from benchmarks.harness.figures import Figures, percentiles
from benchmarks.harness.loop import Answer, Run
from benchmarks.harness.machine import Machine, Processors, versions
from benchmarks.harness.metrics import Counters, Served
from benchmarks.harness.table import figure, markdown, percent
from benchmarks.harness.words import Spoken, normalise, word_errors
from hypothesis import given
from hypothesis import strategies as st

EXPOSITION = """\
# TYPE process_cpu_seconds counter
process_cpu_seconds_total 12.5
# TYPE asr_batch_size histogram
asr_batch_size_bucket{le="1.0"} 2.0
asr_batch_size_bucket{le="+Inf"} 5.0
asr_batch_size_count 5.0
asr_batch_size_sum 14.0
# TYPE asr_engine_busy_seconds counter
asr_engine_busy_seconds_total 8.25
# TYPE asr_build_info gauge
asr_build_info{python="3.12.1",version="1.2.3"} 1.0
# TYPE asr_model_info gauge
asr_model_info{compute_type="int8",device="cpu",model="base"} 1.0
"""


def clip(name: str = "a", seconds: float = 4.0, language: str = "en", text: str = "Hello there.") -> Clip:
    return Clip(Path(f"{name}.flac"), language, text, seconds)


def test_manifest_is_read_without_what_has_no_words(tmp_path: Path) -> None:
    """Music and noise are of no use where words are checked; files lie beside the manifest."""
    manifest = tmp_path / "manifest.json"
    speech = {"file": "a.flac", "language": "en", "text": "Hello there.", "seconds": 4.0, "speaker": "unnamed"}
    music = {"file": "b.flac", "language": None, "text": "", "seconds": 20.0}
    manifest.write_text(json.dumps([speech, music]), encoding="utf-8")
    assert read_clips(manifest) == [Clip(tmp_path / "a.flac", "en", "Hello there.", 4.0)]


def test_choice_is_by_length_and_language() -> None:
    """Both ends of the length are included, and no language named means any."""
    clips = [clip("a", 1.9), clip("b", 2.0), clip("c", 14.0, "ru"), clip("d", 5.0, "fr"), clip("e", 14.1)]
    assert [c.path.stem for c in choose(clips, Choice(2, 14, ("en", "ru")))] == ["b", "c"]
    assert [c.path.stem for c in choose(clips, Choice(2, 14))] == ["b", "c", "d"]
    with pytest.raises(ValueError, match="none of the 5 clips"):
        choose(clips, Choice(60, 90))


@pytest.mark.parametrize("model", ["base", "callsign"])
def test_clips_for_a_model_are_there(model: str) -> None:
    """The clips of a benchmark come with the repository."""
    manifest, choice = clips_for(model)
    clips = choose(read_clips(manifest), choice)
    assert len(clips) >= 16
    assert all(clip.path.is_file() for clip in clips)


@given(st.integers(1, 9), st.integers(1, 40), st.integers())
def test_drawn_order_is_the_seed_s_alone(kinds: int, count: int, seed: int) -> None:
    """The same seed gives the same order, in which no clip comes twice more often than another."""
    clips = [clip(str(number)) for number in range(kinds)]
    drawn = draw(clips, count, seed)
    assert drawn == draw(clips, count, seed)
    assert len(drawn) == count
    times = [drawn.count(each) for each in clips]
    assert max(times) - min(times) <= 1


def test_percentiles_lie_on_the_line_between_two_values() -> None:
    """One value is every percentile, and none has none."""
    assert percentiles([4.0, 1.0, 3.0, 2.0, 5.0], (0, 50, 90, 100)) == [1.0, 3.0, pytest.approx(4.6), 5.0]
    assert percentiles([7.0], (50, 99)) == [7.0, 7.0]
    assert percentiles([], (50, 99)) == [None, None]


@pytest.mark.parametrize(
    ("said", "language", "normal"),
    [
        ("I'm sorry, that's NOT valid.", "en", "i am sorry that is not valid"),
        ("«Конференция» начнётся!", "ru", "конференция начнется"),
        ("你好，世界。", "zh", "你 好 世 界"),
        (" ... ", "ru", ""),
    ],
)
def test_words_are_compared_without_their_dress(said: str, language: str, normal: str) -> None:
    """Case, punctuation and spacing are no errors; where there are no spaces, characters are words."""
    assert normalise(said, language) == normal


def test_word_errors_are_a_share_of_the_words_said() -> None:
    """Wrong, missing and added words count alike, over all clips together."""
    pairs = [
        Spoken("red green blue black", "en", "Red, green, glue black white"),
        Spoken("ash beech oak elm", "en", "ash beech oak"),
    ]
    assert word_errors(pairs) == pytest.approx(3 / 8)
    assert word_errors([Spoken("ash oak", "en", "")]) == 1
    assert word_errors([]) is None


def test_figures_count_answers_only() -> None:
    """A refused request is an error, and neither a rate nor a latency nor a wrong word."""
    answers = (
        Answer(clip(seconds=6), 1.0, "Hello there."),
        Answer(clip(seconds=4), 3.0, "hello where"),
        Answer(clip(seconds=9), 0.1, error="503: full"),
    )
    figures = Figures.of([Run(2, answers, 5.0)])
    assert (figures.concurrency, figures.requests, figures.errors, figures.exact) == (2, 3, 1, 1)
    assert (figures.requests_per_second, figures.rtfx, figures.p50) == (0.4, 2.0, 2.0)
    assert figures.word_errors == pytest.approx(1 / 4)


def test_figures_of_rounds_are_of_all_their_time() -> None:
    """Two runs are one after another: their answers and their seconds add up."""
    answer = Answer(clip(seconds=6), 1.0, "Hello there.")
    figures = Figures.of([Run(1, (answer,), 1.0), Run(1, (answer, answer), 2.0)])
    assert (figures.requests, figures.seconds, figures.rtfx) == (3, 3.0, 6.0)


def test_run_without_an_answer_has_no_latency() -> None:
    """Where all was refused there are counts, and dashes for the rest."""
    figures = Figures.of([Run(1, (Answer(clip(), 0.1, error="503"),), 1.0)])
    assert (figures.errors, figures.rtfx, figures.p50, figures.word_errors) == (1, 0.0, None, None)


def test_counters_are_read_and_subtracted() -> None:
    """The mean batch is of the calls between two looks, and of none where there was no call."""
    later = Counters.parse(EXPOSITION)
    assert later == Counters(batches=5, chunks=14, busy_seconds=8.25, cpu_seconds=12.5)
    between = later.since(Counters(batches=3, chunks=4, busy_seconds=8.0, cpu_seconds=10.0))
    assert between == Counters(batches=2, chunks=10, busy_seconds=0.25, cpu_seconds=2.5)
    assert between.mean_batch == 5
    assert later.since(later).mean_batch is None
    assert Counters.parse("") == Counters(0, 0, 0, 0)


def test_what_is_served_is_read() -> None:
    """Model, device and compute type are the server's, not those that were asked for."""
    assert Served.parse(EXPOSITION) == Served("1.2.3", "base", "cpu", "int8")
    with pytest.raises(KeyError):
        Served.parse("")


def test_table_is_markdown_with_aligned_columns() -> None:
    """The first column is text, the others are figures."""
    table = markdown(("server", "p50 s"), [("ours", figure(1.234)), ("other one", figure(None))])
    assert table == (
        "| server    | p50 s |\n"
        "| --------- | ----: |\n"
        "| ours      |  1.23 |\n"
        "| other one |     - |\n"
    )  # fmt: skip
    assert (percent(0.0675), percent(None), figure(2, 0)) == ("6.8", "-", "2")


def test_machine_is_described() -> None:
    """A figure goes with the processor, its cores and the packages' versions."""
    machine = Machine.here()
    assert machine.cpu
    assert str(machine).startswith(f"{machine.cpu}, {machine.cores} cores")
    assert {"python", "asr-api", "ctranslate2", "faster-whisper"} <= versions().keys()


def test_others_take_what_was_busy_beside_the_measured() -> None:
    """Processor time that is not the measured server's is told, so that a disturbed figure is known for one."""
    before = Processors.look()
    nothing_measured, all_measured = before.taken_by_others(0, 1), before.taken_by_others(1e6, 1)
    assert nothing_measured is None or nothing_measured >= 0
    assert all_measured is None or all_measured < 0
    assert Processors(None).taken_by_others(0, 1) is None
