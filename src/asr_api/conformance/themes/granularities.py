"""What `timestamp_granularities` adds and leaves out."""

from itertools import pairwise

from asr_api.conformance.answer import Answer, absent, number_of, objects_of, text_of
from asr_api.conformance.check import Theme
from asr_api.conformance.server import ALIKE, Server
from asr_api.conformance.themes.verbose import SLACK
from asr_api.conformance.verdict import expect, shown
from asr_api.selftest import likeness

FIELD = "timestamp_granularities[]"
WORD, SEGMENT = (FIELD, "word"), (FIELD, "segment")


def none_means_segments(server: Server) -> None:
    """Without granularities `verbose_json` has segments and no words.

    That is the default, and words cost time.
    """
    _only(server.transcribe(response_format="verbose_json"), "segments")


def an_empty_list_means_segments(server: Server) -> None:
    """With an empty list from OpenAI's client `verbose_json` has segments and no words.

    The client sends nothing for an empty list.
    """
    result = server.create(response_format="verbose_json", timestamp_granularities=[])
    expect(result.segments is not None, "no segments")
    expect(result.words is None, f"words={shown(result.words)}")


def segment_means_segments(server: Server) -> None:
    """With `segment` `verbose_json` has segments and no words.

    Words cost time that nobody asked for.
    """
    _only(server.transcribe(SEGMENT, response_format="verbose_json"), "segments")


def word_means_words(server: Server) -> None:
    """With `word` `verbose_json` has words and no segments.

    That is what OpenAI answers; segments have to be asked for then.
    """
    _only(server.transcribe(WORD, response_format="verbose_json"), "words")


def both_mean_both(server: Server) -> None:
    """With `word` and `segment` `verbose_json` has words and segments, in either order.

    Subtitle tools ask for both.
    """
    for fields in ((WORD, SEGMENT), (SEGMENT, WORD)):
        body = server.transcribe(*fields, response_format="verbose_json").json()
        objects_of(body, "segments")
        objects_of(body, "words")


def words_need_verbose_json(server: Server) -> None:
    """`word` with `response_format=json` is a 400.

    A silent answer without words looks like a recording without any.
    """
    server.transcribe(WORD, response_format="json").refused_for("timestamp_granularities", "response_format")


def an_unknown_granularity_is_refused(server: Server) -> None:
    """A granularity that is neither `word` nor `segment` is a 400 that names the field.

    Ignored, it would look like one that is served.
    """
    answer = server.transcribe((FIELD, "syllable"), response_format="verbose_json")
    answer.refused_for("timestamp_granularities")


def words_have_word_start_and_end(server: Server) -> None:
    """Each of the words has `word`, `start` and `end`, the first a string and the others numbers.

    Clients read `word`, not `text`.
    """
    for word in _words(server):
        text_of(word, "word")
        number_of(word, "start")
        number_of(word, "end")


def words_are_not_inside_segments(server: Server) -> None:
    """Words stand beside the segments, not inside them.

    OpenAI's client knows no words of a segment.
    """
    body = server.transcribe(WORD, SEGMENT, response_format="verbose_json").json()
    for segment in objects_of(body, "segments"):
        expect("words" not in segment, f"a segment with words: {shown(segment)}")


def words_make_up_the_text(server: Server) -> None:
    """The words, one after the other, are the transcript.

    Otherwise words are lost from subtitles.
    """
    joined = " ".join(text_of(word, "word") for word in _words(server))
    expect(likeness(joined, server.text) >= ALIKE, f"{shown(joined)} where the text is {shown(server.text)}")


def words_follow_each_other(server: Server) -> None:
    """Words are in order and lie within the recording.

    Players mark the word that is being said.
    """
    words = _words(server)
    starts = [number_of(word, "start") for word in words]
    expect(all(a <= b for a, b in pairwise(starts)), f"the starts {shown(starts)}")
    expect(all(number_of(w, "start") <= number_of(w, "end") for w in words), "a word that ends before it begins")
    last = number_of(words[-1], "end")
    expect(starts[0] >= 0 and last <= server.recording.seconds + SLACK, f"times from {starts[0]} to {last}")


def the_client_reads_words(server: Server) -> None:
    """OpenAI's client makes a `TranscriptionVerbose` with words of an answer with both granularities.

    Its users write `.words[0].word`.
    """
    result = server.create(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    expect(bool(result.words) or not server.text, f"words={shown(result.words)}")
    expect(all(isinstance(word.word, str) for word in result.words), f"words={shown(result.words)}")


def the_client_is_told_that_words_need_verbose_json(server: Server) -> None:
    """OpenAI's client raises `BadRequestError` for `word` with `json`.

    Its users catch that.
    """
    error = server.refusal(response_format="json", timestamp_granularities=["word"])
    expect(type(error).__name__ == "BadRequestError", f"{type(error).__name__}: {error}")


def _only(answer: Answer, key: str) -> None:
    body = answer.json()
    objects_of(body, key)
    absent(body, "words" if key == "segments" else "segments")


def _words(server: Server) -> list[dict[str, object]]:
    """The words; raises NotChecked where nothing is said and Broken where there are none."""
    expected = server.text
    words = objects_of(server.transcribe(WORD, response_format="verbose_json").json(), "words")
    expect(words != [], f"no words for {shown(expected)}")
    return words


GRANULARITIES = Theme(
    "granularities",
    (
        none_means_segments,
        an_empty_list_means_segments,
        segment_means_segments,
        word_means_words,
        both_mean_both,
        words_need_verbose_json,
        an_unknown_granularity_is_refused,
        words_have_word_start_and_end,
        words_are_not_inside_segments,
        words_make_up_the_text,
        words_follow_each_other,
        the_client_reads_words,
        the_client_is_told_that_words_need_verbose_json,
    ),
)
