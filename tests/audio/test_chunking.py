"""Chunks hold all speech once, in order, and none is longer than the engine takes, however the audio comes."""

import tracemalloc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from faster_whisper.audio import decode_audio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr_api.audio.chunking import Chunker
from asr_api.audio.speech import SpeechDetector, SpeechSpan
from asr_api.transcription import SAMPLE_RATE, AudioChunk, AudioOptions, Samples

from .sounds import noise, recordings

NOISE = noise(400)
SECONDS_HELD = 100
"""Seconds of audio that may be held."""

Pattern = list[tuple[float, float]]
"""Seconds of audio and how loud it is, one after the other."""


class Loudness:
    """A network to which loud is speech: the probability is that of the loudest sample of the window."""

    def run(self, output_names: None, inputs: Mapping[str, NDArray[np.float32]]) -> Sequence[Any]:
        windows = inputs["input"][:, 64:]
        return np.maximum(windows.max(axis=1), -windows.min(axis=1)), inputs["h"], inputs["c"]


class Silent:
    """A network that must not be asked."""

    def run(self, output_names: None, inputs: Mapping[str, NDArray[np.float32]]) -> Sequence[Any]:
        raise AssertionError("the network was asked")


DETECTOR = SpeechDetector(Loudness())


def audio(pattern: Pattern) -> Samples:
    """Noise, as loud as the pattern says; never the same twice."""
    lengths = [round(seconds * SAMPLE_RATE) for seconds, _ in pattern]
    levels = np.repeat(np.array([level for _, level in pattern], np.float32) * 2, lengths)
    return np.resize(NOISE, len(levels)) * levels


def chunks_of(samples: Samples, options: AudioOptions | None = None, step: int = 1 << 30) -> list[AudioChunk]:
    """The chunks of audio that comes in blocks of `step` samples."""
    return list(stream(Chunker(DETECTOR, options or AudioOptions()), blocks(samples, step)))


def stream(chunker: Chunker, pieces: Iterable[Samples]) -> Iterator[AudioChunk]:
    for piece in pieces:
        yield from chunker.push(piece)
    yield from chunker.finish()


def blocks(samples: Samples, step: int) -> Iterator[Samples]:
    return (samples[start : start + step] for start in range(0, len(samples), step))


def look(chunks: list[AudioChunk]) -> list[tuple[float, float, float]]:
    return [(chunk.start, chunk.duration, chunk.voiced) for chunk in chunks]


def plain_split(samples: Samples, spans: list[SpeechSpan], *, joined: bool = True) -> list[tuple[int, int, float]]:
    """The rules for whole audio, with all spans known, as offset, length and voiced seconds of each chunk."""
    groups: list[list[tuple[int, int]]] = []
    for start, end in (piece for span in spans for piece in plain_cut(samples, span.start, span.end)):
        if not joined or not groups or end - groups[-1][0][0] > 480_000 or start - groups[-1][-1][1] > 48_000:
            groups.append([])
        groups[-1].append((start, end))
    return [
        (group[0][0], group[-1][1] - group[0][0], sum(end - start for start, end in group) / SAMPLE_RATE)
        for group in groups
    ]


def plain_cut(samples: Samples, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > 480_000:
        cut = quietest(samples, start + 320_000, min(start + 480_000, end - 80_000))
        yield start, cut
        start = cut
    yield start, end


def quietest(samples: Samples, start: int, end: int) -> int:
    """The middle of the quietest five neighbouring frames of 20 ms."""
    energies = [
        float(np.square(frame).mean()) for frame in samples[start:end][: (end - start) // 320 * 320].reshape(-1, 320)
    ]
    sums = np.convolve(energies, np.ones(5), mode="valid")
    return start + int(sums.argmin()) * 320 + 800


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    """Up to some minutes of speech, silence, noise that is neither, and dips in speech."""
    level = st.sampled_from([0.0, 0.001, 0.2, 0.4, 0.6, 0.9])
    seconds = st.one_of(st.floats(0.001, 0.6), st.floats(0.2, 5), st.floats(0.2, 45))
    return draw(st.lists(st.tuples(seconds, level), max_size=16))


asked = st.builds(
    AudioOptions,
    vad=st.booleans(),
    threshold=st.sampled_from([None, 0.3, 0.8]),
    prefix_padding_ms=st.sampled_from([0, 400, 3000]),
    silence_duration_ms=st.sampled_from([0, 160, 2000]),
    joined=st.booleans(),
)


@settings(deadline=None, max_examples=60)
@given(patterns(), asked)
def test_all_speech_is_in_one_chunk(pattern: Pattern, options: AudioOptions) -> None:
    """All speech is in exactly one chunk, sample by sample; chunks are in order, apart, and at most 30 s
    long, and they begin and end with speech unless there was no silence to cut in."""
    samples = audio(pattern)
    chunks = chunks_of(samples, options)
    everything = [SpeechSpan(0, len(samples))] if len(samples) else []
    spans = DETECTOR.detect(samples, options) if options.vad else everything
    assert all(0 < chunk.duration <= 30 for chunk in chunks)
    assert all(left.offset + len(left.samples) <= right.offset for left, right in pairwise(chunks))
    for chunk in chunks:
        end = chunk.offset + len(chunk.samples)
        np.testing.assert_array_equal(chunk.samples, samples[chunk.offset : end])
        covered = sum(max(0, min(end, span.end) - max(chunk.offset, span.start)) for span in spans)
        assert chunk.voiced == pytest.approx(covered / SAMPLE_RATE)
        edges_of_speech = [0, *(edge for span in chunk.speech for edge in span), len(chunk.samples)]
        assert edges_of_speech == sorted(edges_of_speech)
    spoken = sum(end - start for chunk in chunks for start, end in chunk.speech)
    assert spoken == sum(span.length - span.before - span.after for span in spans)
    assert sum(chunk.voiced for chunk in chunks) == pytest.approx(sum(span.length for span in spans) / SAMPLE_RATE)
    edges = {edge for span in spans for edge in (span.start, span.end)}
    for left, right in pairwise(chunks):
        end = left.offset + len(left.samples)
        assert {end, right.offset} <= edges or (end == right.offset and left.duration >= 20)


@settings(deadline=None, max_examples=60)
@given(patterns(), asked, st.lists(st.integers(1, 500_000), min_size=1, max_size=20))
def test_blocks_change_nothing(pattern: Pattern, options: AudioOptions, sizes: list[int]) -> None:
    """The chunks of audio in pieces of any size are those that the plain rules give for all of it."""
    samples = audio(pattern)
    pieces = np.split(samples, [cut for cut in np.cumsum(sizes * 30) if cut < len(samples)])
    chunks = list(stream(Chunker(DETECTOR, options), pieces))
    everything = [SpeechSpan(0, len(samples))] if len(samples) else []
    spans = DETECTOR.detect(samples, options) if options.vad else everything
    assert [(chunk.offset, len(chunk.samples), chunk.voiced) for chunk in chunks] == plain_split(
        samples, spans, joined=options.joined
    )
    for chunk in chunks:
        np.testing.assert_array_equal(chunk.samples, samples[chunk.offset : chunk.offset + len(chunk.samples)])


@settings(deadline=None, max_examples=30)
@given(patterns(), asked)
def test_soon(pattern: Pattern, options: AudioOptions) -> None:
    """A chunk is given out before 41 s of audio, and the pause that ends speech, have come after it."""
    samples = audio([*pattern, (60, 0.0), *pattern, (20, 0.9)])
    chunker, step = Chunker(DETECTOR, options), SAMPLE_RATE // 2
    for heard, block in enumerate(blocks(samples, step), start=1):
        late = heard * step - (41 + options.silence_duration_ms / 1000) * SAMPLE_RATE
        assert all(chunk.offset + len(chunk.samples) > late for chunk in chunker.push(block))


def test_first_chunk_of_a_long_speech() -> None:
    """Who speaks without a pause has the first chunk after 35 s, and the block of the detector."""
    chunker = Chunker(DETECTOR, AudioOptions())
    speech = audio([(38, 0.9)])
    assert len(chunker.push(speech)) == 1


LONG: dict[str, tuple[Pattern, AudioOptions]] = {
    "silence": ([(30, 0.0)], AudioOptions()),
    "noise": ([(30, 0.2)], AudioOptions()),
    "speech": ([(30, 0.9)], AudioOptions()),
    "neither": ([(1, 0.9), (29, 0.45)], AudioOptions()),
    "talk": ([(1, 0.9), (3.5, 0.0), (25.5, 0.9)], AudioOptions()),
    "patience": ([(14, 0.9), (15, 0.0), (1, 0.9)], AudioOptions(silence_duration_ms=20_000, prefix_padding_ms=5_000)),
    "everything": ([(10, 0.9), (20, 0.0)], AudioOptions(vad=False)),
}


@pytest.mark.parametrize("name", LONG)
def test_memory(name: str) -> None:
    """Hours of anything are never held: chunks leave, silence is forgotten."""
    pattern, options = LONG[name]
    block, chunker = audio(pattern), Chunker(DETECTOR, options)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(240):
        chunker.push(block)
        assert tracemalloc.get_traced_memory()[0] - before < SECONDS_HELD * SAMPLE_RATE * 4
    tracemalloc.stop()


def test_small_blocks_are_few_objects() -> None:
    """Audio that comes sample by sample is held as audio that comes at once."""
    samples = audio([(3, 0.9)])
    assert look(chunks_of(samples, step=1)) == look(chunks_of(samples))


def test_neighbours_share_a_chunk() -> None:
    """Spans are taken together, with the pauses between them, for as long as they fit."""
    speech, pause = (8.64, 0.9), (1.28, 0.0)
    chunks = chunks_of(audio([pause, speech, pause, speech, pause, speech, pause, speech]))
    assert look(chunks) == [pytest.approx((0.88, 29.28, 28.32)), pytest.approx((30.64, 9.04, 9.04))]


def test_long_pause() -> None:
    """A pause of more than three seconds ends the chunk; padding is no pause."""
    speech, short, long = (0.96, 0.9), (3.776, 0.0), (3.84, 0.0)
    chunks = chunks_of(audio([speech, short, speech, long, speech]))
    assert [chunk.start for chunk in chunks] == [0, pytest.approx(9.136)]


def test_prefix_padding() -> None:
    """What a request wants kept before speech is kept, and no more; after it, it is 0.4 s."""
    pattern = audio([(3.2, 0.0), (3.2, 0.9), (3.2, 0.0)])
    for wanted in (0, 400, 1000):
        (chunk,) = chunks_of(pattern, AudioOptions(prefix_padding_ms=wanted))
        assert chunk.start == pytest.approx(3.2 - wanted / 1000)
        assert chunk.start + chunk.duration == pytest.approx(6.8)


def test_silence_duration() -> None:
    """Pauses shorter than a request says are part of the speech."""
    samples = audio([(1.6, 0.9), (1.92, 0.0), (1.6, 0.9)])
    assert chunks_of(samples)[0].voiced == pytest.approx(4.0)
    assert chunks_of(samples, AudioOptions(silence_duration_ms=2000))[0].voiced == pytest.approx(5.12)


def test_long_speech_is_cut_where_it_is_quiet() -> None:
    """Speech of more than 30 s is cut in the quietest place of the last third of the 30 s."""
    first, second = chunks_of(audio([(5, 0.55), (19.95, 0.9), (0.1, 0.6), (24.95, 0.9)]))
    assert first.duration == pytest.approx(25, abs=0.02)
    assert second.offset == len(first.samples)


def test_long_speech_joins_what_came_before() -> None:
    """The first piece of a long speech is taken with the speech before it, where both fit."""
    pattern = [(2, 0.9), (2, 0.0), (19.95, 0.9), (0.1, 0.6), (25.95, 0.9)]
    first, second = chunks_of(audio(pattern), step=SAMPLE_RATE)
    assert look([first, second]) == [
        pytest.approx((0, 24, 22.8), abs=0.05),
        pytest.approx((24, 26, 26), abs=0.05),
    ]


def test_no_tiny_tail() -> None:
    """What is left after a cut is at least five seconds long."""
    for seconds in (30.01, 31, 34, 45, 60.5, 91):
        assert min(chunk.duration for chunk in chunks_of(audio([(seconds, 0.9)]))) >= 5


@pytest.mark.parametrize("level", [0.0, 0.9])
def test_without_vad(level: float) -> None:
    """Without voice activity detection the chunks cover every sample, and the network is not asked."""
    samples = audio([(100.1, level)])
    chunks = list(stream(Chunker(SpeechDetector(Silent()), AudioOptions(vad=False)), [samples]))
    np.testing.assert_array_equal(np.concatenate([chunk.samples for chunk in chunks]), samples)
    assert all(chunk.voiced == chunk.duration for chunk in chunks)
    assert all(chunk.duration >= 20 for chunk in chunks[:-1])


@pytest.mark.parametrize("options", [AudioOptions(), AudioOptions(vad=False)], ids=["vad", "everything"])
def test_nothing(options: AudioOptions) -> None:
    """No audio, no chunk."""
    assert chunks_of(audio([]), options) == []


def test_nobody_speaks() -> None:
    """No speech, no chunk."""
    assert chunks_of(audio([(200, 0.2)])) == []


def test_recordings() -> None:
    """Recordings one after the other, a second at a time, are chunked as they are at once by the plain rules."""
    detector = SpeechDetector.load()
    samples = np.concatenate([decode_audio(str(path)) for path in recordings("speech")[:8]])
    chunks = list(stream(Chunker(detector, AudioOptions()), blocks(samples, SAMPLE_RATE)))
    found = [(chunk.offset, len(chunk.samples), chunk.voiced) for chunk in chunks]
    assert found == plain_split(samples, detector.detect(samples))
    assert len(found) > 3
