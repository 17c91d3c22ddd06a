"""Word boundaries between what the alignment says and what the audio shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.engine.boundaries import refined
from asr_api.engine.voicing import FRAME_SECONDS, Voicing

SECONDS = 6.0
Spans = list[tuple[float, float]]


def sounding(*runs: tuple[float, float], dips: tuple[float, ...] = ()) -> Voicing:
    """Sound from one time to another, and quieter, but not silent, for 10 ms at each dip."""
    starts, ends = np.array(runs, float).reshape(-1, 2).T
    levels = np.zeros(round(SECONDS / FRAME_SECONDS), np.float32)
    for start, end in runs:
        levels[round(start / FRAME_SECONDS) : round(end / FRAME_SECONDS)] = 20
    for dip in dips:
        levels[round(dip / FRAME_SECONDS)] = 5
    return Voicing(levels, starts, ends)


def refine(words: Spans, voicing: Voicing) -> Spans:
    given_starts, given_ends = np.array(words, float).T
    starts, ends = refined(given_starts, given_ends, voicing, SECONDS)
    return [(round(float(start), 3), round(float(end), 3)) for start, end in zip(starts, ends, strict=True)]


@st.composite
def runs_of_sound(draw: st.DrawFn) -> Voicing:
    """Up to 30 runs of 20 ms and more, with pauses of 30 ms and more."""
    frames = draw(st.lists(st.tuples(st.integers(3, 80), st.integers(2, 60)), max_size=30))
    edges = np.cumsum(frames, axis=None) if frames else np.zeros(0, int)
    inside = edges[: np.searchsorted(edges, SECONDS / FRAME_SECONDS, "right") // 2 * 2].reshape(-1, 2) * FRAME_SECONDS
    return sounding(*map(tuple, inside.tolist()))


@st.composite
def aligned(draw: st.DrawFn) -> Spans:
    """Times as an alignment gives them: multiples of 20 ms that never run backwards, many of them equal."""
    count = draw(st.integers(1, 20))
    times = draw(st.lists(st.integers(0, round(SECONDS / 0.02)), min_size=2 * count, max_size=2 * count))
    return [(float(start), float(end)) for start, end in np.sort(np.array(times) * 0.02).reshape(-1, 2)]


@given(aligned(), runs_of_sound())
def test_times_never_run_backwards_nor_leave_the_chunk(words: Spans, voicing: Voicing) -> None:
    """Whatever the alignment and the audio are, words follow each other within the chunk, and where there is sound
    each of them has some of it."""
    times = np.ravel(refine(words, voicing))
    assert (np.diff(times) >= 0).all()
    assert 0 <= times[0] <= times[-1] <= SECONDS
    if len(voicing.starts):
        assert all(start < end for start, end in times.reshape(-1, 2))


@given(aligned(), runs_of_sound())
def test_first_and_last_word_reach_to_where_sound_begins_and_ends(words: Spans, voicing: Voicing) -> None:
    """The first word never begins, nor the last end, in the middle of a pause."""
    found = refine(words, voicing)
    if len(voicing.starts):
        assert found[0][0] in voicing.starts.round(3)
        assert found[-1][1] in voicing.ends.round(3)


@given(aligned())
def test_silence_changes_nothing(words: Spans) -> None:
    """Where nothing stands out of the noise, the alignment is all there is."""
    assert refine(words, sounding()) == [(round(start, 3), round(end, 3)) for start, end in words]


def test_each_word_takes_its_own_run() -> None:
    """The alignment has words end early and begin with the pause before them; the runs say when they sound."""
    voicing = sounding((0.4, 1.0), (1.3, 2.0), (2.4, 3.0))
    assert refine([(0.0, 0.7), (0.7, 1.7), (1.7, 2.8)], voicing) == [(0.4, 1.0), (1.3, 2.0), (2.4, 3.0)]


def test_a_stop_within_a_word_does_not_end_it() -> None:
    """Silence of 60 ms far from where the alignment has an end is the closure of a consonant."""
    voicing = sounding((0.4, 0.7), (0.76, 1.1), (1.5, 2.0))
    assert refine([(0.1, 0.85), (0.85, 1.7)], voicing) == [(0.4, 1.1), (1.5, 2.0)]


def test_the_stop_between_two_words_is_the_second_ones() -> None:
    """A mouth closed for 50 ms where the alignment has the boundary is how a `t` begins; 150 ms are a pause."""
    assert refine([(0.4, 0.9), (0.9, 1.5)], sounding((0.4, 0.95), (1.0, 1.6))) == [(0.4, 0.95), (0.95, 1.6)]
    assert refine([(0.4, 0.9), (0.9, 1.5)], sounding((0.4, 0.95), (1.1, 1.6))) == [(0.4, 0.95), (1.1, 1.6)]


def test_words_that_run_together_meet_where_it_is_quietest() -> None:
    """The boundary moves to the dip beside it, and stays near the alignment's where there is none."""
    ((_, dipped), _) = refine([(0.4, 1.0), (1.0, 1.6)], sounding((0.4, 1.7), dips=(1.09,)))
    ((_, plain), _) = refine([(0.4, 1.0), (1.0, 1.6)], sounding((0.4, 1.7)))
    assert dipped == pytest.approx(1.095)
    assert plain == pytest.approx(1.0, abs=0.121)


def test_words_without_time_get_some() -> None:
    """Three words that the alignment has at one moment share the run, in order."""
    found = refine([(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)], sounding((0.4, 1.7)))
    assert found[0][0] == 0.4
    assert found[-1][1] == 1.7
    assert all(end - start >= 0.04 for start, end in found)


def test_a_noise_before_the_first_word_is_not_its_beginning() -> None:
    """A click long before the alignment has the first word belongs to nobody."""
    assert refine([(2.1, 2.6)], sounding((0.2, 0.25), (2.0, 2.9))) == [(2.0, 2.9)]
