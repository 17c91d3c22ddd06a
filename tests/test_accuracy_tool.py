"""The accuracy tool's own arithmetic: what it says of two sides is only worth what this is."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from benchmarks.harness.clips import Clip, read_clips
from benchmarks.harness.metrics import Served
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.accuracy.corpus import Recipe
from tools.accuracy.heard import Heard, TimedSegment, TimedWord
from tools.accuracy.placed import Layout, laid_out, trimmed
from tools.accuracy.report import Comparison, error_table, timing_table
from tools.accuracy.scores import ALL, DEFAULTS, OURS, WITH_VAD, Score, ahead, behind, compare
from tools.accuracy.service import parse
from tools.accuracy.synthesis import lay, trim
from tools.accuracy.word_times import PlacedWord, SpacedClip, outside, overlapping, read_right, timings
from tools.accuracy.words import CARRIED_WORDS

from asr_api.calibration.bootstrap import difference, error_rate

OTHER = "other"
RATE = 16_000


def score(said: str, heard: str, language: str = "en", detected: str | None = None) -> Score:
    return Score.of(Clip(Path("a.wav"), language, said, 3.0), Heard(heard, detected or language))


def spaced(*words: PlacedWord) -> SpacedClip:
    return SpacedClip(Clip(Path("a.wav"), "en", " ".join(word.text for word in words), 3.0), words)


@pytest.mark.parametrize(
    ("said", "heard", "language", "words", "errors"),
    [
        ("red green blue", "Red, green: blue!", "en", 3, 0),
        ("red green blue", "red grin blue black", "en", 3, 2),
        ("red green blue", "", "en", 3, 3),
        ("press one", "Press 1!", "en", 2, 0),
        ("fünf zwölf", "Fünf, zwolf.", "de", 2, 1),
        ("一 二 三", "一二，四。", "zh", 3, 1),
    ],
)
def test_errors_are_counted_without_dress(said: str, heard: str, language: str, words: int, errors: int) -> None:
    """Wrong, missing and added words count one each; case, marks and how numbers are written none; Chinese is
    counted in characters."""
    found = score(said, heard, language)
    assert (found.words, found.errors) == (words, errors)


def test_language_of_silence_is_wrong() -> None:
    """A side that hears nothing names no language, and that is not the one that was spoken."""
    assert score("one", "one").language_right
    assert not score("one", "eins", detected="de").language_right
    assert not Score.of(Clip(Path("a.wav"), "en", "one", 1.0), Heard("", None)).language_right


def test_interval_has_the_rate_of_all_words() -> None:
    """A long recording weighs as many words as it has."""
    found = error_rate([0, 5], [10, 40])
    assert found.value == pytest.approx(0.1)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_interval_of_equal_recordings_is_a_point() -> None:
    """Where every recording has the same errors, drawing others changes nothing."""
    found = error_rate([1] * 20, [4] * 20)
    assert (found.low, found.value, found.high) == (0.25, 0.25, 0.25)


def test_interval_is_as_wide_as_theory_has_it() -> None:
    """Of n recordings of one word each, it is close to a share's normal interval: 1.96 sqrt(p(1 - p) / n) each way."""
    found = error_rate([1] * 100 + [0] * 300, [1] * 400)
    half = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert found.low == pytest.approx(0.25 - half, abs=0.005)
    assert found.high == pytest.approx(0.25 + half, abs=0.005)


def test_no_words_have_no_rate() -> None:
    """A share of nothing is refused rather than invented."""
    with pytest.raises(ValueError, match="no words"):
        error_rate([0], [0])


def test_difference_is_paired() -> None:
    """One error more in each recording is certain, however much the recordings differ among themselves."""
    theirs = [0, 9, 1, 7, 3, 0, 8, 2]
    found = difference([errors + 1 for errors in theirs], theirs, [10] * 8)
    assert (found.low, found.value, found.high) == pytest.approx((0.1, 0.1, 0.1))


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_difference_changes_its_sign_with_the_sides(counts: list[tuple[int, int, int]]) -> None:
    """Ours less theirs is theirs less ours turned about, so neither side is favoured."""
    ours, theirs, words = map(list, zip(*counts, strict=True))
    forth, back = difference(ours, theirs, words), difference(theirs, ours, words)
    assert (forth.value, forth.low, forth.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_rows_are_of_languages_and_of_all() -> None:
    """Each language counts its own recordings, and the last row all of them."""
    ours = [score("red green", "red green"), score("eins zwei", "eins", "de"), score("red", "ein", detected="de")]
    rows = compare({OURS: ours, OTHER: ours})
    assert [(row.language, row.utterances, row.words) for row in rows] == [("de", 1, 2), ("en", 2, 3), (ALL, 3, 5)]
    assert [row.columns[OURS].errors.value for row in rows] == pytest.approx([1 / 2, 1 / 3, 2 / 5])
    assert [row.columns[OURS].languages_right for row in rows] == pytest.approx([1, 1 / 2, 2 / 3])
    assert all(row.columns[OURS].less is None for row in rows)


def test_ours_is_worse_only_beyond_chance() -> None:
    """One recording in twenty may go wrong by chance; half of them may not, and better is never worse."""
    good = [score("red green", "red green") for _ in range(20)]
    once, often = [score("red green", "red"), *good[1:]], [score("red green", "red")] * 10 + good[10:]
    assert compare({OURS: once, OTHER: good})[-1].worse_than == []
    assert compare({OURS: often, OTHER: good})[-1].worse_than == [OTHER]
    assert compare({OURS: good, OTHER: often})[-1].worse_than == []


def test_few_recordings_prove_nothing() -> None:
    """Three recordings with an error more each are no bar missed; ten are."""
    good, bad = score("red green", "red green"), score("red green", "red")
    assert compare({OURS: [bad] * 3, OTHER: [good] * 3})[-1].worse_than == []
    assert compare({OURS: [bad] * 10, OTHER: [good] * 10})[-1].worse_than == [OTHER]


def test_best_side_is_that_with_the_fewest_errors() -> None:
    """It is one of the others, however good ours is."""
    good, bad = [score("red green", "red green")], [score("red green", "red")]
    assert compare({OURS: good, DEFAULTS: bad, WITH_VAD: good})[-1].best == WITH_VAD


def test_recordings_to_look_at_are_those_where_ours_is_behind() -> None:
    """Beside whoever did best on each, the largest difference first, and none where all fail alike."""
    ours = [score("red green", "red"), score("red green blue", ""), score("ash", "oak")]
    good = [score("red green", "red green"), score("red green blue", "red green blue"), score("ash", "oak")]
    scores = {OURS: ours, DEFAULTS: ours, WITH_VAD: good}
    assert [one[OURS] for one in behind(scores, 1)] == [ours[1], ours[0]]
    assert [one[OURS] for one in behind(scores, 2)] == [ours[1]]


def test_ours_is_ahead_where_every_other_side_is_behind() -> None:
    """One good other side is enough for it not to be."""
    good, bad = [score("red green", "red green")], [score("red green", "")]
    assert ahead({OURS: good, DEFAULTS: bad, WITH_VAD: bad}, 2) == 1
    assert ahead({OURS: good, DEFAULTS: bad, WITH_VAD: good}, 2) == 0


def test_words_are_taken_from_the_segments() -> None:
    """The service's words are inside its segments; an answer without segments has none."""
    word = {"word": " one", "start": 0.5, "end": 0.9, "probability": 1.0}
    segment = {"text": " one", "start": 0.5, "end": 0.9, "language": "en", "words": [word]}
    expected = TimedSegment(" one", 0.5, 0.9, language="en")
    assert parse({"text": "one", "language": "en", "segments": [segment]}) == Heard(
        "one", "en", (TimedWord(" one", 0.5, 0.9),), (expected,)
    )
    assert parse({"text": "", "language": None}) == Heard("", None)


def test_time_errors_are_counted_with_and_without_sign() -> None:
    """Median and percentile are of the size alone; beside them stands how much is too early and too late."""
    said = spaced(PlacedWord("one", 1.0, 1.4), PlacedWord("two", 1.6, 2.0))
    heard = Heard("One two.", "en", (TimedWord(" One", 0.9, 1.4), TimedWord(" two.", 1.9, 2.2)))
    (found,) = timings([said], {OURS: [heard]})
    assert (found.said, found.read, found.starts.count, found.ends.count) == (2, 2, 2, 2)
    assert (found.starts.median, found.ends.median) == pytest.approx((0.2, 0.1))
    assert (found.starts.p95, found.ends.p95) == pytest.approx((0.29, 0.19))
    assert (found.starts.middle, found.starts.early, found.starts.late) == pytest.approx((0.1, 0.5, 0.5))
    assert (found.ends.middle, found.ends.early, found.ends.late) == pytest.approx((0.1, 0, 0.5))


def test_times_are_compared_on_words_that_all_read_right() -> None:
    """A word that one side misread counts for neither, so that both are measured by the same words."""
    said = spaced(PlacedWord("one", 1.0, 1.4), PlacedWord("two", 1.6, 2.0))
    right = Heard("one two", "en", (TimedWord("one", 1.0, 1.4), TimedWord("two", 1.6, 2.0)))
    wrong = Heard("ten two", "en", (TimedWord("ten", 9.0, 9.4), TimedWord("two", 1.6, 2.0)))
    found = timings([said], {OURS: [right], OTHER: [wrong]})
    assert [(one.read, one.starts.count) for one in found] == [(2, 1), (1, 1)]
    assert found[1].starts.p95 == 0


def test_words_must_be_those_said_each_with_its_time() -> None:
    """A word too many has no true time, and two words in one have no time each; the others keep theirs."""
    one, two = TimedWord("one", 1.0, 1.4), TimedWord("Two.", 1.6, 2.0)
    said = spaced(PlacedWord("one", 1.0, 1.4), PlacedWord("two", 1.6, 2.0))
    assert read_right(said, Heard("one two", "en", (TimedWord("one two", 1.0, 2.0),))) == {}
    assert read_right(said, Heard("one um two", "en", (one, TimedWord("um", 1.4, 1.5), two))) == {0: one, 1: two}
    assert read_right(said, Heard("two", "en", (two,))) == {1: two}


def test_only_known_times_count() -> None:
    """Within a phrase nobody knows where a word begins; where the phrase does is known."""
    said = spaced(PlacedWord("one", 1.0, None), PlacedWord("two", None, 2.0))
    (found,) = timings([said], {OURS: [Heard("", "en", (TimedWord("one", 1.1, 1.3), TimedWord("two", 1.4, 1.9)))]})
    assert (found.starts.count, found.ends.count) == (1, 1)
    assert (found.starts.middle, found.ends.middle) == pytest.approx((0.1, -0.1))


def test_words_out_of_place_are_counted() -> None:
    """Outside of every segment, begun before the word before has ended, or ended before they begin."""
    words = (TimedWord("a", 0.0, 0.5), TimedWord("b", 0.4, 0.9), TimedWord("c", 1.5, 1.2))
    heard = Heard("a b c", "en", words, (TimedSegment("a b", 0.0, 0.8), TimedSegment("c", 1.2, 1.5)))
    assert (outside(heard), overlapping(heard)) == (1, 2)


def test_no_word_read_right_has_no_figures() -> None:
    """The table then has dashes."""
    found = timings([spaced(PlacedWord("one", 1.0, 1.4))], {OURS: [Heard("", None)]})
    assert (found[0].read, found[0].starts.count, found[0].starts.median) == (0, 0, None)
    assert " - " in timing_table(found)


def test_a_recording_is_trimmed_to_where_it_sounds() -> None:
    """Silence and faint noise at its ends go, within 10 ms, and what is left is as loud as any other."""
    tone = 0.1 * np.sin(np.arange(RATE, dtype=np.float32))
    faint = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 1e-4
    kept = trimmed(np.concatenate([faint, tone, faint]))
    assert len(kept) == pytest.approx(RATE, abs=RATE // 50)
    assert np.mean(np.square(kept)) == pytest.approx(1, abs=1e-3)


def test_words_and_phrases_are_placed_where_they_are_laid(tmp_path: Path) -> None:
    """A word has both times, a phrase those of its ends; gaps are as asked, and the seed decides everything."""
    words = [clip for clip in read_clips(CARRIED_WORDS) if clip.language == "en"]
    layout = Layout("test", pieces=3, gaps=(0.2, 0.2))
    made, again = (laid_out(layout, words, 2, seed, tmp_path / str(n)) for n, seed in enumerate((1, 1)))
    assert [one.words for one in made] == [one.words for one in again]
    assert [word.text for word in made[0].words] == made[0].clip.text.split()
    for before, after in pairwise(made[0].words):
        assert before.end is not None
        assert after.start == pytest.approx(before.end + 0.2, abs=1e-3)
    phrase = replace(words[0], text="It works - now.")
    ((first, works, now),) = (one.words for one in laid_out(replace(layout, pieces=1), [phrase], 1, 1, tmp_path))
    assert (first.end, works.start, works.end, now.start) == (None, None, None, None)
    assert None not in (first.start, now.end)


def test_speech_is_laid_where_it_is_said_to_be() -> None:
    """Pauses have their length to the sample, and the noise is 20 dB below the speech."""
    tone = np.sin(np.arange(RATE, dtype=np.float32))
    samples, spans = lay([tone, tone[: RATE // 2]], [0.5, 0.25, 1.0], seed=1)
    assert spans == [(0.5, 1.5), (1.75, 2.25)]
    assert len(samples) == 3.25 * RATE
    assert np.abs(samples).max() == pytest.approx(0.7)
    noise, speech = (np.mean(np.square(part)) for part in (samples[: RATE // 2], samples[RATE // 2 : RATE]))
    assert 10 * np.log10((speech - noise) / noise) == pytest.approx(20, abs=0.3)
    assert np.array_equal(samples, lay([tone, tone[: RATE // 2]], [0.5, 0.25, 1.0], seed=1)[0])


def test_silence_is_trimmed_from_the_ends() -> None:
    """What is left begins and ends with sound and has a peak of 1; of silence nothing is left, and that is refused."""
    quiet = np.zeros(100, np.float32)
    kept = trim(np.concatenate([quiet, np.array([0.25, 0.0, -0.5], np.float32), quiet]))
    assert kept.tolist() == [0.5, 0.0, -1.0]
    with pytest.raises(ValueError, match="nothing was said"):
        trim(quiet)


def test_recording_is_the_seed_s_alone() -> None:
    """Words and voice of a recording do not depend on how many others are made."""
    recipe = Recipe("words", "en", 3, 1)
    assert recipe.rng().random() == Recipe("words", "en", 3, 1).rng().random()
    others = [Recipe("words", "en", 4, 1), Recipe("words", "de", 3, 1), Recipe("words", "en", 3, 2)]
    assert recipe.rng().random() not in [other.rng().random() for other in others]


def test_table_has_a_row_a_language() -> None:
    """Shares are in percent, with their interval, and the difference from the best other side stands at the end."""
    good, bad = [score("red green", "red green")], [score("red green", "red")]
    lines = error_table(compare({OURS: good, DEFAULTS: bad, WITH_VAD: [score("red green", "")]})).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["en", ALL]
    assert "0.0 (0.0 to 0.0)" in lines[2]
    assert "50.0 (50.0 to 50.0)" in lines[2]
    assert lines[2].endswith("-50.0 (-50.0 to -50.0) |")


def test_comparison_shows_where_ours_is_behind() -> None:
    """Tables, the recordings to look at and the bars missed; as JSON every transcript is there."""
    good, bad = [score("red green", "red green")] * 20, [score("red green", "")] * 20
    found = Comparison(Served("1", "base", "cpu", "int8"), {OURS: bad, DEFAULTS: good})
    assert found.missed == [
        f"{language}: asr-api makes 100.0 (100.0 to 100.0) points more word errors than faster-whisper"
        for language in ("en", ALL)
    ]
    assert "a.wav: red green\n\n    asr-api (en, 2 errors): \n    faster-whisper (en, 0 errors): red green" in str(
        found
    )
    recordings = found.as_json()["recordings"]
    assert isinstance(recordings, list)
    assert [side["text"] for side in recordings[0]["sides"]] == ["", "red green"]
