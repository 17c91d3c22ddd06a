"""Chunks hold all speech once, in order, and none is longer than the engine takes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio.chunking import split
from asr_api.audio.speech import SpeechSpan
from asr_api.transcription import SAMPLE_RATE

from .sounds import noise

AUDIO = noise(400)


def span(start: float, end: float) -> SpeechSpan:
    return SpeechSpan(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))


@st.composite
def patterns(draw: st.DrawFn) -> list[SpeechSpan]:
    """Spans of a sample to 100 s with pauses of none to 10 s, in samples."""
    lengths = st.one_of(st.integers(1, 5000), st.integers(1, 100 * SAMPLE_RATE))
    pauses = st.one_of(st.just(0), st.integers(0, 10 * SAMPLE_RATE))
    spans, position = [], 0
    for pause, length in draw(st.lists(st.tuples(pauses, lengths), max_size=12)):
        start, position = position + pause, position + pause + length
        if position > len(AUDIO):
            break
        spans.append(SpeechSpan(start, position))
    return spans


@settings(deadline=None)
@given(patterns(), st.sampled_from([3.0, 10.0, 30.0]))
def test_invariants(spans: list[SpeechSpan], max_seconds: float) -> None:
    """Every sample of speech is in exactly one chunk; chunks are views in order, none empty or too long."""
    chunks = split(AUDIO, spans, max_seconds)
    ends = [chunk.offset + len(chunk.samples) for chunk in chunks]
    assert all(end <= chunk.offset for end, chunk in zip(ends, chunks[1:], strict=False))
    assert all(0 < chunk.duration <= max_seconds for chunk in chunks)
    assert all(np.shares_memory(chunk.samples, AUDIO) for chunk in chunks)
    for chunk, end in zip(chunks, ends, strict=True):
        np.testing.assert_array_equal(chunk.samples, AUDIO[chunk.offset : end])
        covered = sum(max(0, min(end, one.end) - max(chunk.offset, one.start)) for one in spans)
        assert chunk.voiced == pytest.approx(covered / SAMPLE_RATE)
    assert sum(chunk.voiced for chunk in chunks) == pytest.approx(sum(one.length for one in spans) / SAMPLE_RATE)


def test_neighbours_share_a_chunk() -> None:
    """Spans are taken together, with the pauses between them, for as long as they fit."""
    chunks = split(AUDIO, [span(1, 10), span(11, 20), span(22, 30.5), span(31, 40)])
    assert [(chunk.start, chunk.duration, chunk.voiced) for chunk in chunks] == [(1, 29.5, 26.5), (31, 9, 9)]


def test_long_pause() -> None:
    """A pause of more than three seconds ends the chunk."""
    assert [chunk.start for chunk in split(AUDIO, [span(1, 2), span(5, 6), span(9.1, 10)])] == [1, 9.1]


def test_long_span_is_cut_where_it_is_quiet() -> None:
    """A span of more than 30 s is cut in the quietest place of the last third of the 30 s."""
    samples = noise(50)
    samples[: 5 * SAMPLE_RATE] = 0
    samples[round(24.95 * SAMPLE_RATE) : round(25.05 * SAMPLE_RATE)] *= 0.01
    first, second = split(samples, [span(0, 50)])
    assert first.duration == pytest.approx(25, abs=0.02)
    assert second.offset == len(first.samples)


def test_no_tiny_tail() -> None:
    """What is left after a cut is at least five seconds long."""
    for seconds in (30.01, 31, 34, 45, 60.5, 91):
        assert min(chunk.duration for chunk in split(AUDIO, [span(0, seconds)])) >= 5


def test_cut_is_even_in_silence() -> None:
    """Audio that is equally quiet everywhere is cut all the same."""
    chunks = split(np.zeros(100 * SAMPLE_RATE, np.float32), [span(0, 100)])
    assert sum(chunk.duration for chunk in chunks) == 100
    assert all(left.offset + len(left.samples) == right.offset for left, right in pairwise(chunks))


def test_nobody_speaks() -> None:
    """No speech, no chunk."""
    assert split(AUDIO, []) == []
