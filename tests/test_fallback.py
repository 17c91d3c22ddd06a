"""What is tried for one chunk, in which order, and when it is enough."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.engine.protocol import MAX_TOKENS, DecodingResult
from asr_api.fallback import SHORT, WHOLE, Attempts, audio_context_of
from asr_api.spectrogram import FRAMES
from asr_api.transcription import TranscriptionOptions

from .fakes import result

GOOD = result("alpha bravo")
LOOP = result("bravo bravo bravo", compression_ratio=3.0)
UNLIKELY = result("alfalfa", avg_logprob=-1.5)


def attempts(audio_context: int = FRAMES, voiced: float = 5.0, **options: object) -> Attempts:
    return Attempts(TranscriptionOptions(**options), voiced, audio_context)  # type: ignore[arg-type]


def tried(made: Attempts, *results: DecodingResult) -> Iterator[tuple[float, int, str | None]]:
    """Temperature and context of each attempt, and why it failed."""
    for one in results:
        temperature, audio_context = made.temperature, made.audio_context
        yield temperature, audio_context, made.add(one)


@given(st.floats(0.1, 30))
def test_a_context_leaves_silence_at_its_end(seconds: float) -> None:
    """Three seconds of it, or it is all that Whisper was trained on; and the encoder halves it."""
    frames = SHORT.frames(seconds)
    assert frames == FRAMES or frames >= 100 * (seconds + 3)
    assert frames % 2 == 0
    assert WHOLE.frames(seconds) == FRAMES


@pytest.mark.parametrize(("seconds", "frames"), [(0.1, 1300), (10, 1300), (10.01, 2000), (17, 2000), (17.1, 3000)])
def test_the_first_step_that_is_long_enough_is_taken(seconds: float, frames: int) -> None:
    """Few steps, so that many chunks have the same and share batches."""
    assert SHORT.frames(seconds) == frames


def test_a_model_has_short_contexts_where_they_were_shown_to_do_no_harm() -> None:
    """Or where the operator wants it so."""
    assert [audio_context_of("auto", model) for model in ("base", "large-v3")] == [SHORT, WHOLE]
    assert [audio_context_of(setting, "large-v3") for setting in ("short", "whole")] == [SHORT, WHOLE]
    assert audio_context_of("whole", "base") == WHOLE


@pytest.mark.parametrize("bad", [LOOP, UNLIKELY, result("a", tokens=tuple(range(60)))], ids=["loop", "odd", "endless"])
def test_what_fails_on_a_short_context_is_tried_on_all_of_it(bad: DecodingResult) -> None:
    """At the same temperature, and the failure counts for nothing: not as an attempt, not as a fallback."""
    made = attempts(1300)
    assert list(tried(made, bad, GOOD)) == [(0.0, 1300, "audio_context"), (0.0, FRAMES, None)]
    assert (made.over, made.best, made.fell_back, made.guard) == (True, GOOD, False, None)


def test_what_passes_on_a_short_context_is_enough() -> None:
    """It is not tried again."""
    made = attempts(1300)
    assert list(tried(made, GOOD)) == [(0.0, 1300, None)]
    assert (made.over, made.best) == (True, GOOD)


def test_what_fails_on_all_of_it_climbs_the_ladder() -> None:
    """And the likeliest of what does not repeat itself is taken where nothing passes."""
    made = attempts(temperatures=(0.0, 0.4))
    assert list(tried(made, UNLIKELY, LOOP)) == [(0.0, FRAMES, "avg_logprob"), (0.4, FRAMES, "compression_ratio")]
    assert (made.over, made.best, made.fell_back) == (True, UNLIKELY, False)


def test_a_text_that_was_cut_off_gets_all_the_tokens_there_are() -> None:
    """At the same temperature; the cut one counts for nothing."""
    cut, made = result("alpha", tokens=tuple(range(96))), attempts(voiced=9)
    assert made.max_tokens == 96
    assert list(tried(made, cut)) == [(0.0, FRAMES, "length")]
    assert made.max_tokens == MAX_TOKENS
    assert list(tried(made, GOOD)) == [(0.0, FRAMES, None)]
    assert not made.fell_back


@pytest.mark.parametrize(
    ("heard", "guard"),
    [(GOOD, None), (result("  "), "blank"), (result("you", no_speech_prob=0.9, avg_logprob=-1.2), "no_speech")],
    ids=["words", "blanks", "hardly"],
)
def test_where_nothing_is_said_nothing_is_tried_again(heard: DecodingResult, guard: str | None) -> None:
    """Silence passes at once, by its words or by its probabilities, and which of them it was is known."""
    made = attempts()
    list(tried(made, heard))
    assert (made.over, made.guard) == (True, guard)
