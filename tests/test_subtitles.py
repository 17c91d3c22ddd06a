"""Subtitle files that other programs read back, whatever was said and when."""

import html
import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest
import srt as subrip  # type: ignore[import-untyped]
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from asr_api.subtitles import srt, vtt
from asr_api.transcription import Segment

MILLISECOND = timedelta(milliseconds=1)


def segment(text: str, start: float = 0.0, end: float = 1.0) -> Segment:
    return Segment(0, 0, start, end, text, (), 0.0, -0.2, 1.2, 0.01)


def line(*texts: str) -> list[Segment]:
    """The texts one after another, a second each."""
    return [segment(text, n, n + 1) for n, text in enumerate(texts)]


def lines(text: str, max_line_width: int = 42) -> list[str]:
    """The lines of the only cue."""
    return srt([segment(text)], max_line_width).splitlines()[2:-1]


def bare(text: str) -> str:
    """The text without what subtitles may change: spaces and control characters."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]", "", text)


def by_start(segments: Sequence[Segment]) -> list[Segment]:
    return sorted((each for each in segments if bare(each.text)), key=lambda each: each.start)


pieces = st.sampled_from(
    ["-->", "\n\n", "\r", "\x00", " ", "\u2028", "<i>", "&amp;", "WEBVTT", "NOTE", "7", "00:00:01,000 --> 00:00:02,000"]
)
texts = st.lists(st.text() | pieces | st.text("日本語。「ーสระ 7:,->"), max_size=8).map("".join)
times = st.floats(-10, 1e6) | st.integers(0, 20).map(float) | st.floats(0, 0.01)
transcripts = st.lists(st.builds(segment, texts, times, times), max_size=8)


def test_subrip_is_numbered_and_has_commas() -> None:
    """A cue is its number from 1, its times with a comma, its text and a blank line."""
    assert srt(line(" Hello.", " World.")) == (
        "1\n00:00:00,000 --> 00:00:01,000\nHello.\n\n2\n00:00:01,000 --> 00:00:02,000\nWorld.\n\n"
    )


def test_webvtt_has_a_header_and_points() -> None:
    """A WebVTT file begins with its name and a blank line; a cue is its times with a point and its text."""
    assert vtt(line(" Hello.", " World.")) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nHello.\n\n00:00:01.000 --> 00:00:02.000\nWorld.\n\n"
    )


@pytest.mark.parametrize("segments", [[], line("", " ", "\n\x00")])
def test_nothing_said_is_a_file_without_cues(segments: list[Segment]) -> None:
    """Without text SubRip is empty and WebVTT its header alone."""
    assert (srt(segments), vtt(segments)) == ("", "WEBVTT\n\n")


def test_a_segment_without_text_takes_no_number() -> None:
    """Numbers have no gap where a segment is left out."""
    assert [(cue.index, cue.content) for cue in subrip.parse(srt(line("one", " ", "two")))] == [(1, "one"), (2, "two")]


def test_a_recording_may_last_over_a_hundred_hours() -> None:
    """The hours take as many digits as they need."""
    assert "100:01:02,500 --> 100:01:03,000" in srt([segment("late", 360_062.5, 360_063)])


def test_times_are_rounded_to_the_millisecond() -> None:
    """59.9996 s is a minute, not 59 s and 1000 ms."""
    assert "00:01:00.000 --> 00:01:00.001" in vtt([segment("now", 59.9996, 60.0006)])


@pytest.mark.parametrize(
    ("spans", "shown"),
    [
        ([(0, 3), (2, 4)], [(0, 2), (2, 4)]),
        ([(1, 1), (1, 2)], [(1, 1.001), (1.001, 2)]),
        ([(2, 1), (3, 4)], [(2, 2.001), (3, 4)]),
        ([(-1, 1), (1, 2)], [(0, 1), (1, 2)]),
    ],
)
def test_a_cue_ends_where_the_next_begins(spans: list[tuple[float, float]], shown: list[tuple[float, float]]) -> None:
    """Times that overlap, run backwards or are before the beginning are put right; a cue lasts at least 1 ms."""
    cues = subrip.parse(srt([segment("text", *span) for span in spans]))
    assert [(cue.start.total_seconds(), cue.end.total_seconds()) for cue in cues] == shown


def test_a_text_cannot_end_its_cue_or_begin_another() -> None:
    """Line ends are spaces, and what looks like a cue's times is but text."""
    text = "Say\r\n\r\n2\n00:00:05,000 --> 00:00:06,000\n\nthis"
    assert srt([segment(text)], 99) == (
        "1\n00:00:00,000 --> 00:00:01,000\nSay 2 00:00:05,000 - -> 00:00:06,000 this\n\n"
    )


def test_webvtt_shows_markup_as_it_was_said() -> None:
    """`<`, `>` and `&` mean nothing to a player of WebVTT."""
    assert "\na &lt;b&gt; --&gt; &amp;lt; c\n" in vtt([segment("a <b> --> &lt; c")])


def test_a_text_that_fits_stays_on_one_line() -> None:
    """A line takes as many characters as it is wide."""
    assert lines("twenty characters ok", 20) == ["twenty characters ok"]


def test_two_lines_are_alike_in_length() -> None:
    """A longer text is cut at the space nearest its middle, the first line being the shorter of two equal cuts."""
    assert lines("I would rather be whole than good at all", 30) == ["I would rather be", "whole than good at all"]


def test_fitting_comes_before_balance() -> None:
    """A text without spaces is cut between its signs only if no space makes both lines fit."""
    assert lines("はい 今日はとても良い天気です", 26) == ["はい", "今日はとても良い天気です"]
    assert lines("はい 今日はとても良い天気ですね", 20) == ["はい 今日はとて", "も良い天気ですね"]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("今天天气很好我们去公园", 12, ["今天天气很", "好我们去公园"]),
        ("今日は良い。明日は雨", 12, ["今日は良い。", "明日は雨"]),
        ("ああああ「いいい", 10, ["ああああ", "「いいい"]),
        ("สวัสดีเพื่อน", 6, ["สวัสดี", "เพื่อน"]),
        ("ああああコーヒー", 10, ["ああああ", "コーヒー"]),
    ],
)
def test_scripts_without_spaces_are_cut_by_width(text: str, width: int, expected: list[str]) -> None:
    """A sign of Chinese or Japanese is two columns wide; no line begins or ends with what belongs to its neighbour."""
    assert lines(text, width) == expected


def test_a_long_word_stays_whole() -> None:
    """A word wider than a line is never cut, nor is anything of a long text lost."""
    assert lines("x" * 50) == ["x" * 50]
    assert " ".join(lines("word " * 100)) == ("word " * 100).strip()


@given(transcripts, st.integers(1, 60))
def test_any_transcript_is_read_back_from_subrip(segments: list[Segment], width: int) -> None:
    """Another program's parser finds every text, in order, at times that never overlap, numbered from 1."""
    cues = list(subrip.parse(srt(segments, width)))
    assert [bare(cue.content) for cue in cues] == [bare(each.text) for each in by_start(segments)]
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    assert all(cue.end - cue.start >= MILLISECOND and cue.content.count("\n") <= 1 for cue in cues)
    assert all(earlier.end <= later.start for earlier, later in pairwise(cues))


@given(transcripts, st.integers(1, 60))
def test_any_transcript_is_read_back_from_webvtt(segments: list[Segment], width: int) -> None:
    """Another program's strict parser finds every text, in order, at times that never overlap."""
    cues = webvtt.from_string(vtt(segments, width), strict=True).captions
    assert [bare(html.unescape(cue.raw_text)) for cue in cues] == [bare(each.text) for each in by_start(segments)]
    spans = [(cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds()) for cue in cues]
    assert all(start < end and len(cue.lines) <= 2 for (start, end), cue in zip(spans, cues, strict=True))
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


@given(transcripts)
def test_both_formats_show_the_same(segments: list[Segment]) -> None:
    """SubRip and WebVTT differ in form, never in times or lines."""
    times = [re.findall(r"^\d.* --> .*$", made, re.MULTILINE) for made in (srt(segments), vtt(segments))]
    assert [each.replace(",", ".") for each in times[0]] == times[1]
