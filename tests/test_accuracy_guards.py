"""The tools that judge silence, long recordings and languages: what they say of a transcript is what is in it."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.harness.clips import Clip
from tools.accuracy.heard import Heard, TimedSegment
from tools.accuracy.language import MANY, Changing, Detected, Languages
from tools.accuracy.laying import Phrase, judge, lay, phrases_of, trimmed, with_background
from tools.accuracy.scores import BATCHED, COMPARATORS, DEFAULTS, OURS, WITH_VAD
from tools.accuracy.signals import power, read, write_flac
from tools.accuracy.silence import MUSIC, NORMALIZED, WITHOUT_VAD, Guards, Silence, Sounding, rows_of
from tools.accuracy.sounds import BY_PEAK, LEVELLESS, SOUNDS, sound

from asr_api.transcription import SAMPLE_RATE

LAID = [
    Phrase("one big red dog", "en", 0, 2),
    Phrase("two small blue cats", "en", 3, 4),
    Phrase("yes we have no bananas", "en", 5, 7),
]


def heard(*segments: tuple[str, float, float]) -> list[TimedSegment]:
    return [TimedSegment(*one) for one in segments]


@pytest.mark.parametrize("name", sorted(set(SOUNDS) - LEVELLESS - BY_PEAK))
def test_a_sound_has_its_level_and_its_seed(name: str) -> None:
    """Decibels of full scale are of the mean power, and the same seed makes the same sound."""
    made = sound(name, -30, 4, seed=1)
    assert made.dtype == np.float32
    assert len(made) == 4 * SAMPLE_RATE
    assert 10 * np.log10(power(made)) == pytest.approx(-30, abs=0.1)
    assert np.array_equal(made, sound(name, -30, 4, seed=1))


def test_clicks_are_mostly_silence() -> None:
    """Their level is that of the peak; silence has none."""
    made = sound("clicks", -20, 10, seed=1)
    assert np.abs(made).max() == pytest.approx(0.1)
    assert np.mean(made == 0) > 0.99
    assert not sound("silence", -20, 1, seed=1).any()


def test_a_transcript_of_all_phrases_loses_none() -> None:
    """Case and marks do not count; times are off by what the segments say."""
    found = judge(
        LAID, heard(("One big red dog.", 0.1, 2), ("Two small blue cats. Yes, we have no bananas!", 3, 7.5)), "en"
    )
    assert [(one.errors, one.lost, one.twice) for one in found] == [(0, False, False)] * 3
    assert [one.start for one in found] == [pytest.approx(0.1), 0, None]
    assert [one.end for one in found] == [0, None, pytest.approx(0.5)]


def test_a_phrase_without_its_words_is_lost() -> None:
    """Whether they are missing or others stand there."""
    assert [one.lost for one in judge(LAID, heard(("One big red dog", 0, 2)), "en")] == [False, True, True]
    instead = heard(("one big red dog thanks for watching guys yes we have no bananas", 0, 7))
    assert [one.lost for one in judge(LAID, instead, "en")] == [False, True, False]


@pytest.mark.parametrize(
    "text",
    [
        "one big red dog one big red dog two small blue cats yes we have no bananas",
        "one big red dog one big red dog yes we have no bananas",
    ],
    ids=["added", "instead"],
)
def test_a_phrase_whose_words_come_again_is_there_twice(text: str) -> None:
    """Between it and the next, or in the place of the next."""
    assert [one.twice for one in judge(LAID, heard((text, 0, 7)), "en")] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "seconds", "taken"),
    [
        ("Yes, we have no bananas.", 3, True),
        ("Yes, we have.", 3, False),
        ("Yes, we have no bananas.", 16, False),
        ("Yes, we have [a beep] no bananas.", 3, False),
        ("One two three four five.", 3, False),
        ("A B C D is it.", 3, False),
    ],
    ids=["enough", "too few words", "too long", "not said", "one number", "letters"],
)
def test_phrases_are_those_that_can_be_told_from_misheard_ones(text: str, seconds: float, taken: bool) -> None:
    """Enough words must be left once the judge has normalised them; figures and numbers in words are one then."""
    clip = Clip(Path("a.wav"), "en", text, seconds)
    assert phrases_of([clip]) == [clip] * taken


def test_laid_phrases_stand_where_they_are_said_to(tmp_path: Path) -> None:
    """Pauses are silence, phrases lose their silent ends, and all comes again when it is used up."""
    spoken = np.concatenate([np.zeros(1000), np.full(SAMPLE_RATE, 0.5), np.zeros(3000)]).astype(np.float32)
    clip = Clip(write_flac(tmp_path / "a.flac", spoken), "en", "one", 1.25)
    samples, phrases = lay([clip], 5, (0.5, 1.5), seed=1)
    assert len(phrases) > 1
    spans = [(round(one.start * SAMPLE_RATE), round(one.end * SAMPLE_RATE)) for one in phrases]
    assert {end - start for start, end in spans} == {SAMPLE_RATE}
    assert all(samples[start:end].min() > 0.4 for start, end in spans)
    assert sum(end - start for start, end in spans) == np.count_nonzero(samples)
    assert len(trimmed(read(clip.path))) == SAMPLE_RATE


def test_what_is_behind_speech_has_its_level() -> None:
    """Decibels below the speech, whose pauses do not count."""
    speech = np.concatenate([np.full(1000, 0.5), np.zeros(9000)]).astype(np.float32)
    behind = with_background(speech, np.tile(np.array([0.1, -0.1], np.float32), 50), 20)
    assert 10 * np.log10(0.25 / power(behind[1000:])) == pytest.approx(20, abs=0.01)


def test_characters_are_counted_a_sound() -> None:
    """Noise may have none; music no more than the best comparator writes."""
    soundings = [
        Sounding("white noise", Clip(Path("a"), "", "", 30), bare=False),
        Sounding("white noise", Clip(Path("b"), "", "", 30), bare=True),
        Sounding(MUSIC, Clip(Path("c"), "", "", 60), bare=True),
    ]
    every = [Heard("", None), Heard("", None), Heard("la la", "en")]
    sides = {WITHOUT_VAD: every[1:], DEFAULTS: every[1:], WITH_VAD: every, BATCHED: every}
    guards = Guards.of('asr_skipped_audio_seconds_total{guard="vad"} 5.0\n')
    nothing = ("", "", "")
    for texts, louder, worse in (
        (("", "a", "la la"), nothing, ["white noise"]),
        (("", "", "la la "), nothing, [MUSIC]),
        (nothing, ("a", "", ""), ["white noise"]),
        (nothing, nothing, []),
    ):
        ours = {side: [Heard(text, "en") for text in one] for side, one in ((OURS, texts), (NORMALIZED, louder))}
        rows = rows_of(soundings, ours | sides)
        found = Silence(rows, {OURS: guards}, [])
        assert found.worse_than == worse
        assert [(row.minutes[OURS], row.minutes[DEFAULTS]) for row in rows] == [(1, 0.5), (1, 1)]
        assert "white noise" in str(found)


def test_guards_are_read_from_the_service_s_metrics() -> None:
    """Seconds by guard, and chunks that were decoded again over all temperatures, since the last time."""
    text = (
        'asr_skipped_audio_seconds_total{guard="vad"} 5.0\n'
        'asr_fallbacks_total{reason="avg_logprob",temperature="0.2"} 1.0\n'
        'asr_fallbacks_total{reason="avg_logprob",temperature="0.4"} 2.0\n'
    )
    later = Guards.of(text.replace("5.0", "7.5"))
    assert later.since(Guards.of(text)) == Guards({"vad": 2.5}, {"avg_logprob": 0.0})
    assert later.again == {"avg_logprob": 3.0}


def test_the_table_of_languages_has_a_column_a_side() -> None:
    """Shares in percent; a dash where segments say no language."""
    text = str(
        Languages(
            [Detected("up to 2 s", 4, {OURS: 3, COMPARATORS[0]: 4})],
            [Changing("1 to 2 s", MANY, {"en": (1, 10), "ru": (0, 5)}, 0, 4, None)],
        )
    )
    assert "75.0 |" in text
    assert "100.0 |" in text
    assert "10.0 |" in text
