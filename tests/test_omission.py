"""Speech without words: where it is found, how a chunk is cut there, and what is heard behind a lead-in."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asr_api.audio.speech import WINDOW
from asr_api.omission import LEAD, Led, first_of, lead_in, omission_in, part
from asr_api.spectrogram import HOP
from asr_api.stitching import Heard
from asr_api.transcription import SAMPLE_RATE, ChunkPlace, FeatureChunk, TokenLogprob, Word
from tests.fakes import result


def place_of(*speech: tuple[float, float], length: float = 20.0, offset: float = 0.0) -> ChunkPlace:
    spans = tuple((round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)) for start, end in speech)
    return ChunkPlace(round(offset * SAMPLE_RATE), round(length * SAMPLE_RATE), length, spans)


def chunk_of(place: ChunkPlace) -> FeatureChunk:
    """Each frame is its own number."""
    frames = -(-place.length // HOP)
    return FeatureChunk(place, np.arange(frames, dtype=np.float16)[np.newaxis])


def words_of(*words: tuple[str, float, float]) -> list[Word]:
    """A token for each."""
    return [Word(f" {text}", start, end, 0.9, (number,)) for number, (text, start, end) in enumerate(words)]


def test_speech_with_words_in_it_is_not_left_out() -> None:
    """Nor is any where nobody hears speech."""
    words = words_of(("one", 0.2, 0.7), ("two", 0.8, 1.3), ("three", 3.1, 3.6), ("four", 3.6, 4.0))
    assert omission_in(place_of((0.1, 1.4), (3.0, 4.1)), words) is None
    assert omission_in(place_of(), words) is None


def test_speech_without_a_word_is_left_out() -> None:
    """The first one is told by its number."""
    words = words_of(("one", 0.2, 0.7), ("two", 0.8, 1.3))
    assert omission_in(place_of((0.1, 1.4), (3.0, 4.0), (6.0, 7.0)), words) == 1


def test_a_word_that_is_stretched_over_speech_does_not_fill_it() -> None:
    """The alignment has to put the time somewhere: "All" for 1.3 s, where a phrase of five words was left out."""
    words = words_of(("All", 0.4, 1.75), ("circuits", 2.4, 2.9), ("are", 2.9, 3.1), ("busy", 3.1, 3.5))
    assert omission_in(place_of((0.4, 1.75), (2.4, 4.0)), words) == 0


def test_an_address_fills_all_the_speech_that_it_lasts() -> None:
    """One word of many tokens may be spoken with pauses."""
    address = [Word(" www.asterisk.org", 0.0, 4.0, 0.9, tuple(range(8)))]
    assert omission_in(place_of((0.0, 1.0), (1.5, 2.5), (3.0, 4.0)), address) is None


def test_a_short_sound_need_not_have_a_word() -> None:
    """A cough, or the tail of a word."""
    words = words_of(("one", 0.2, 0.7), ("two", 0.8, 1.3))
    assert omission_in(place_of((0.1, 1.4), (3.0, 3.7)), words) is None


@st.composite
def places(draw: st.DrawFn) -> ChunkPlace:
    """Any speech with any pauses, in whole windows of the detector."""
    edges = [WINDOW * n for n in sorted(draw(st.lists(st.integers(0, 600), min_size=4, max_size=12, unique=True)))]
    spans = tuple(zip(edges[::2], edges[1::2], strict=False))
    return ChunkPlace(draw(st.integers(0, 10**6)), edges[-1] + draw(st.integers(0, 9999)), 15.0, spans)


@given(places(), st.data())
def test_parts_put_together_are_the_chunk(place: ChunkPlace, data: st.DataObject) -> None:
    """Cut anywhere, no sample and no stretch of speech is lost or there twice, and frames are those of the part."""
    count = len(place.speech)
    inner = data.draw(st.lists(st.integers(1, count - 1), unique=True)) if count > 1 else []
    cuts = [0, *sorted(inner), count]
    chunk = chunk_of(place)
    parts = [part(chunk, first, end) for first, end in pairwise(cuts)]
    assert [one.place.offset for one in parts[1:]] == [one.place.offset + one.place.length for one in parts[:-1]]
    assert (parts[0].place.offset, sum(one.place.length for one in parts)) == (place.offset, place.length)
    spoken = [(one.place.offset + a, one.place.offset + b) for one in parts for a, b in one.place.speech]
    assert spoken == [(place.offset + a, place.offset + b) for a, b in place.speech]
    for one in parts:
        first = (one.place.offset - place.offset) // HOP
        assert (one.features[0] == chunk.features[0, first : first + one.features.shape[1]]).all()
        assert one.features.shape[1] == -(-one.place.length // HOP)
        assert all(0 <= a < b <= one.place.length for a, b in one.place.speech)
    assert abs(sum(one.place.voiced for one in parts) - place.voiced) < 1e-6


def test_the_lead_in_is_the_last_that_was_said() -> None:
    """Whole stretches of speech, from the middle of a pause, and no more than so many seconds; or nothing."""
    before = chunk_of(place_of((0, 8), (9, 12), (13, 19)))
    lead = lead_in(before, chunk_of(place_of((0, 2), length=2)))
    assert lead is not None
    assert lead.place.speech == tuple(
        (round((a - 8.5) * SAMPLE_RATE), round((b - 8.5) * SAMPLE_RATE)) for a, b in ((9, 12), (13, 19))
    )
    assert lead.place.duration == 11.5 <= LEAD
    assert lead_in(chunk_of(place_of((0, 19))), chunk_of(place_of((0, 2), length=2))) is None


def test_a_long_piece_has_a_short_lead_in() -> None:
    """Both are one chunk, of 30 s at most."""
    before, piece = chunk_of(place_of((0, 8), (9, 12), (13, 19))), chunk_of(place_of((0, 21), length=21))
    lead = lead_in(before, piece)
    assert lead is not None
    assert len(lead.place.speech) == 1
    assert Led(lead, piece).chunk.place.duration == 28.5
    assert lead_in(before, chunk_of(place_of((0, 29), length=29))) is None


def test_what_is_near_the_beginning_of_its_chunk_is_heard_from_there() -> None:
    """Up to 12 s; what is farther in is heard by itself."""
    chunk = chunk_of(place_of((0, 3), (4, 8), (9, 13), (14, 16), length=17))
    assert [first_of(chunk, omission) for omission in range(4)] == [0, 0, 2, 3]


def led() -> Led:
    """Two seconds to be heard behind ten."""
    return Led(chunk_of(place_of((1, 9), length=10)), chunk_of(place_of((0.3, 1.8), length=2, offset=60)))


def heard(words: Sequence[Word]) -> Heard:
    text = "".join(word.word for word in words)
    tokens = tuple(token for word in words for token in word.tokens)
    logprobs = tuple(TokenLogprob(str(token).encode(), -0.1) for token in tokens)
    return Heard(led().chunk.place, result(text, tokens=tokens, words=tuple(words), logprobs=logprobs))


def test_behind_a_lead_in_both_are_one_chunk() -> None:
    """Frames after frames, as long as both."""
    chunk = led().chunk
    assert chunk.features.shape == (1, 1200)
    assert (chunk.place.duration, chunk.features[0, 999], chunk.features[0, 1000]) == (12, 999, 0)


def test_of_what_is_heard_behind_a_lead_in_the_words_of_the_part_are_kept() -> None:
    """Text, tokens, their probabilities and times are those of the part, in its own time and place."""
    words = words_of(
        ("press", 8.0, 8.5), ("one", 8.5, 9.5), ("followed", 9.9, 10.5), ("by", 10.5, 10.7), ("pound", 10.7, 11.5)
    )
    found = led().piece_of(heard(words))
    assert found is not None
    assert (found.place.start, found.place.duration, found.result.text) == (60, 2, " followed by pound")
    assert (found.result.tokens, [one.data for one in found.result.logprobs]) == ((2, 3, 4), [b"2", b"3", b"4"])
    assert [(round(word.start, 3), round(word.end, 3)) for word in found.result.words] == [
        (0, 0.5),
        (0.5, 0.7),
        (0.7, 1.5),
    ]


def test_what_stands_in_the_lead_in_once_more_is_not_believed() -> None:
    """Whisper repeats itself where it hears nothing; marks and capitals make no difference."""
    words = words_of(("Press", 8.0, 8.5), ("one.", 8.5, 9.5), ("press", 10.1, 10.5), ("one", 10.5, 11.0))
    assert led().piece_of(heard(words)) is None


def test_the_last_word_of_the_lead_in_is_not_taken_for_what_was_left_out() -> None:
    """Where nothing is heard after it, it is stretched to the end; a word that begins in the part is one of it."""
    stretched = words_of(("Press", 8.0, 8.5), ("one.", 9.2, 11.8))
    assert led().piece_of(heard(stretched)) is None
    alone = led().piece_of(heard(words_of(("Press", 8.0, 8.5), ("Goodbye.", 10.3, 11.4))))
    assert alone is not None
    assert alone.result.text == " Goodbye."
