"""Segments of subtitle size, in the request's own time."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from asr_api.engine.protocol import DecodingResult
from asr_api.segmenting import SegmentRules, segments_of, within_speech
from asr_api.transcription import SAMPLE_RATE, ChunkPlace, Word

RULES = SegmentRules(max_seconds=7, max_line_width=20, pause=1)


def chunk(offset: float = 0, seconds: float = 30) -> ChunkPlace:
    return ChunkPlace(round(offset * SAMPLE_RATE), round(seconds * SAMPLE_RATE), seconds)


def result(*words: Word) -> DecodingResult:
    text = "".join(word.word for word in words)
    tokens = tuple(token for word in words for token in word.tokens)
    return DecodingResult(text, tokens, "en", 1.0, 0.0, -0.2, 0.01, 1.2, words)


def words(text: str, seconds: float = 0.5) -> list[Word]:
    return [Word(f" {word}", n * seconds, (n + 1) * seconds, 0.9, (n,)) for n, word in enumerate(text.split())]


def texts(*given: Word) -> list[str]:
    return [segment.text for segment in segments_of(chunk(), result(*given), RULES)]


def test_a_sentence_ends_its_segment() -> None:
    """A full stop, question mark or exclamation mark is where a subtitle ends."""
    assert texts(*words("It works. Does it? Yes!")) == [" It works.", " Does it?", " Yes!"]


def test_an_abbreviation_ends_nothing() -> None:
    """A capital or two before a full stop is a name's beginning."""
    assert texts(*words("Ask Dr. W. Smith")) == [" Ask Dr. W. Smith"]


def test_a_pause_ends_a_segment() -> None:
    """A second without a word separates what is said before and after."""
    assert texts(Word(" one", 0, 0.5, 1), Word(" two", 1.6, 2, 1)) == [" one", " two"]


def test_times_are_those_of_the_request() -> None:
    """A chunk's offset is added to all its times, and `seek` counts its hundredths."""
    (segment,) = segments_of(chunk(offset=60), result(Word(" hi", 0.5, 0.9, 0.8, (7, 8))), RULES)
    assert (segment.start, segment.end, segment.seek, segment.tokens) == (60.5, 60.9, 6000, (7, 8))
    assert [(word.start, word.end) for word in segment.words] == [(60.5, 60.9)]


def test_without_word_times_the_chunk_is_one_segment() -> None:
    """Where no times were asked for, the text stands at its chunk's place."""
    plain = DecodingResult(" one. two.", (1, 2), "en", 1.0, 0.0, -0.2, 0.01, 1.2)
    (segment,) = segments_of(chunk(offset=3, seconds=10), plain, RULES)
    assert (segment.start, segment.end, segment.text, segment.tokens) == (3, 13, " one. two.", (1, 2))


def test_a_long_sentence_is_cut_at_a_clause() -> None:
    """Where a sentence does not fit, its parts end at a comma rather than at the last word that fits."""
    said = words("one two three four five, six seven eight nine ten")
    assert texts(*said) == [" one two three four five,", " six seven eight nine ten"]


def heard(*speech: tuple[float, float]) -> ChunkPlace:
    """Ten seconds in which speech is heard here, in seconds."""
    spans = tuple((round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)) for start, end in speech)
    return ChunkPlace(0, 10 * SAMPLE_RATE, 10.0, spans)


def times(place: ChunkPlace, *given: Word) -> list[tuple[float, float]]:
    return [(round(word.start, 3), round(word.end, 3)) for word in within_speech(given, place)]


def test_music_before_and_after_a_word_is_not_in_it() -> None:
    """Where the detector of speech hears a pause, no word lasts, nor its full stop, but for a tenth of a second."""
    place = heard((1.0, 2.0), (5.0, 6.0))
    said = Word(" one", 0.2, 1.4, 1), Word(" two", 1.4, 3.0, 1), Word(".", 3.0, 3.0, 1), Word(" three", 3.5, 6.0, 1)
    assert times(place, *said) == [(0.9, 1.4), (1.4, 2.1), (2.1, 2.1), (4.9, 6.0)]


def test_a_word_stays_where_the_detector_hears_nothing_at_all() -> None:
    """A word that the detector missed keeps its times, and so does every word where nobody looked for speech."""
    assert times(heard((5.0, 6.0)), Word(" one", 1.0, 1.5, 1)) == [(1.0, 1.5)]
    assert times(chunk(), Word(" one", 1.0, 1.5, 1)) == [(1.0, 1.5)]


spans = st.lists(st.floats(0.05, 3), min_size=2, max_size=12).map(
    lambda steps: list(zip(*[iter(itertools.accumulate(steps))] * 2, strict=False))
)


@given(spans, st.lists(st.tuples(st.floats(0, 3), st.sampled_from([0.0, 0.1, 1.0])), min_size=1, max_size=20))
def test_words_moved_to_speech_stay_in_order(
    speech: list[tuple[float, float]], drawn: list[tuple[float, float]]
) -> None:
    """Wherever speech is, words begin before they end and after the word before, and none grows."""
    clock, said = 0.0, []
    for pause, length in drawn:
        start = clock + pause
        clock = start + length  # as one sum: another order of adding differs in the last bit
        said.append(Word(" w", start, clock, 1))
    moved = within_speech(said, heard(*speech))
    assert all(word.start <= word.end for word in moved)
    assert all(one.end <= other.start or other.start == other.end for one, other in itertools.pairwise(moved))
    assert all(new.end - new.start <= old.end - old.start + 1e-9 for old, new in zip(said, moved, strict=True))


@given(
    st.lists(
        st.tuples(st.text("ab.? ", min_size=1, max_size=12), st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=60
    )
)
def test_nothing_is_lost(drawn: list[tuple[str, float, float]]) -> None:
    """Segments hold every word once, in order, never run backwards, and keep the limits where a word alone does."""
    clock, given_words = 0.0, []
    for n, (text, pause, length) in enumerate(drawn):
        begin = clock + pause
        clock = begin + length
        given_words.append(Word(text, begin, clock, 0.5, (n,)))
    segments = segments_of(chunk(), result(*given_words), RULES)
    assert "".join(segment.text for segment in segments) == "".join(word.word for word in given_words)
    assert [token for segment in segments for token in segment.tokens] == list(range(len(drawn)))
    assert all(before.end <= after.start for before, after in itertools.pairwise(segments))
    for segment in segments:
        assert len(segment.words) == 1 or segment.end - segment.start <= RULES.max_seconds + 0.01
        assert len(segment.words) == 1 or len(segment.text.strip()) <= 2 * RULES.max_line_width
