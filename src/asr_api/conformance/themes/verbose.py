"""What a `verbose_json` answer is."""

from itertools import pairwise

from asr_api.conformance.answer import number_of, objects_of, text_of
from asr_api.conformance.check import Theme
from asr_api.conformance.server import ALIKE, Server
from asr_api.conformance.verdict import NotChecked, expect, shown
from asr_api.http.languages import NAMES
from asr_api.selftest import likeness

KEYS = frozenset({"task", "language", "duration", "text", "segments", "words", "usage"})
WHOLE, REAL = ("id", "seek"), ("start", "end", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob")
SEGMENT = frozenset({*WHOLE, *REAL, "text", "tokens"})
"""The ten fields of a segment, all required (`TranscriptionSegment` of OpenAI's document)."""

SLACK = 0.5
"""Seconds that a time may lie beyond the end, for models round and containers pad."""

Segments = list[dict[str, object]]


def verbose_json_has_the_text(server: Server) -> None:
    """`verbose_json` has the same transcript as `json`.

    Whoever asks for times expects no other words.
    """
    text = text_of(_verbose(server), "text")
    expect(likeness(text, server.text) >= ALIKE, f"text={shown(text)}")


def the_task_is_said(server: Server) -> None:
    """`task` is `transcribe`.

    OpenAI's examples have it, and whoever stores answers tells transcripts from translations by it.
    """
    body = _verbose(server)
    expect(body.get("task") == "transcribe", f"task={shown(body.get('task'))}")


def the_language_is_an_english_name(server: Server) -> None:
    """`language` is the English name of a language in full, as `english`; never a code.

    Clients compare it with the names that OpenAI sends.
    """
    expect(server.text != "", "no words")
    language = text_of(_verbose(server), "language")
    expect(language.lower() in NAMES.values(), f"language={shown(language)}")


def the_duration_is_a_number(server: Server) -> None:
    """`duration` is a number, not a string of digits.

    Typed clients fail on a string, others add it up wrongly.
    """
    number_of(_verbose(server), "duration")


def the_duration_is_that_of_the_recording(server: Server) -> None:
    """`duration` is the length of the audio in seconds.

    Users are billed by it.
    """
    duration, seconds = number_of(_verbose(server), "duration"), server.recording.seconds
    expect(abs(duration - seconds) <= SLACK, f"duration={duration} for {seconds:.2f} s")


def verbose_json_says_the_usage(server: Server) -> None:
    """`usage` is `{"type": "duration", "seconds": n}` with n no less than the audio's whole seconds.

    Proxies bill by it.
    """
    usage = _verbose(server).get("usage")
    expect(isinstance(usage, dict) and usage.get("type") == "duration", f"usage={shown(usage)}")
    assert isinstance(usage, dict)
    seconds = number_of(usage, "seconds")
    expect(int(server.recording.seconds) <= seconds <= server.recording.seconds + 1.5, f"seconds={seconds}")


def verbose_json_has_no_fields_of_its_own(server: Server) -> None:
    """`verbose_json` has no fields but those of OpenAI's document and examples.

    Clients that were generated from the document may refuse a body with others.
    """
    body = _verbose(server)
    expect(body.keys() <= KEYS, f"{sorted(body.keys() - KEYS)} as well")


def segments_have_all_ten_fields(server: Server) -> None:
    """Each segment has id, seek, start, end, text, tokens, temperature, avg_logprob, compression_ratio, no_speech_prob.

    All ten are required: a typed client fails on a segment that lacks one.
    """
    for segment in _segments(server):
        missing = sorted(SEGMENT - segment.keys())
        expect(not missing, f"a segment without {', '.join(missing)}: {shown(segment)}")


def the_fields_of_segments_have_their_types(server: Server) -> None:
    """`id` and `seek` are integers, `tokens` a list of them, times and probabilities numbers; none is null.

    Filters for silence and repetition compare these numbers.
    """
    for segment in _segments(server):
        for key in (*WHOLE, *REAL):
            number_of(segment, key)
        expect(all(isinstance(segment[key], int) for key in WHOLE), f"id or seek of {shown(segment)}")
        tokens = segment.get("tokens")
        expect(isinstance(tokens, list) and all(isinstance(t, int) for t in tokens), f"tokens={shown(tokens)}")
        text_of(segment, "text")


def segments_are_numbered_from_zero(server: Server) -> None:
    """The ids of the segments are 0, 1, 2 and so on.

    They are keys wherever segments are stored.
    """
    ids = [segment.get("id") for segment in _segments(server)]
    expect(ids == list(range(len(ids))), f"the ids {shown(ids)}")


def segments_follow_each_other(server: Server) -> None:
    """Segments are in order, do not overlap and lie within the recording.

    Times that run backwards break every player and editor.
    """
    segments = _segments(server)
    times = [number_of(segment, key) for segment in segments for key in ("start", "end")]
    expect(all(a <= b for a, b in pairwise(times)), f"the times {shown(times)}")
    expect(times[0] >= 0 and times[-1] <= server.recording.seconds + SLACK, f"the times {shown(times)}")


def segments_make_up_the_text(server: Server) -> None:
    """The texts of the segments, one after the other, are `text`.

    Otherwise words are lost between them.
    """
    text, joined = text_of(_verbose(server), "text"), "".join(text_of(s, "text") for s in _segments(server))
    expect(joined.split() == text.split(), f"{shown(joined)} where the text is {shown(text)}")


def the_client_reads_verbose_json(server: Server) -> None:
    """OpenAI's client makes a `TranscriptionVerbose` with segments of `verbose_json`.

    Its users write `.segments[0].start`.
    """
    result = server.create(response_format="verbose_json")
    expect(type(result).__name__ == "TranscriptionVerbose", shown(result))
    expect(isinstance(result.duration, float | int), f"duration={shown(result.duration)}")
    expect(bool(result.segments) or not server.text, f"segments={shown(result.segments)}")


def _verbose(server: Server) -> dict[str, object]:
    return server.transcribe(response_format="verbose_json").json()


def _segments(server: Server) -> Segments:
    """The segments; raises NotChecked where nothing is said and Broken where there are none."""
    body = _verbose(server)
    if not text_of(body, "text").strip():
        raise NotChecked("the model hears nothing in the recording")
    segments = objects_of(body, "segments")
    expect(segments != [], "no segments")
    return segments


VERBOSE = Theme(
    "verbose_json",
    (
        verbose_json_has_the_text,
        the_task_is_said,
        the_language_is_an_english_name,
        the_duration_is_a_number,
        the_duration_is_that_of_the_recording,
        verbose_json_says_the_usage,
        verbose_json_has_no_fields_of_its_own,
        segments_have_all_ten_fields,
        the_fields_of_segments_have_their_types,
        segments_are_numbered_from_zero,
        segments_follow_each_other,
        segments_make_up_the_text,
        the_client_reads_verbose_json,
    ),
)
