"""What `srt` and `vtt` answers are."""

import re
from itertools import pairwise

from asr_api.conformance.check import Theme
from asr_api.conformance.server import ALIKE, Server
from asr_api.conformance.verdict import expect, shown
from asr_api.selftest import likeness

SRT_TIMES = re.compile(r"^\d\d+:\d\d:\d\d,\d{3} --> \d\d+:\d\d:\d\d,\d{3}$")
VTT_TIMES = re.compile(r"^(?:\d\d+:)?\d\d:\d\d\.\d{3} --> (?:\d\d+:)?\d\d:\d\d\.\d{3}(?: .*)?$")

SRT_TYPES = ("text/plain", "application/x-subrip", "text/srt")
VTT_TYPES = ("text/plain", "text/vtt")


def srt_is_text(server: Server) -> None:
    """`srt` comes as plain text or SubRip.

    As JSON or HTML it cannot be saved as a subtitle file.
    """
    answer = server.transcribe(response_format="srt").accepted()
    expect(answer.content_type in SRT_TYPES, f"content-type {answer.content_type!r}")


def srt_counts_from_one(server: Server) -> None:
    """The cues of `srt` are numbered from 1 without gaps.

    Players skip cues whose number does not follow.
    """
    numbers = [cue[0] for cue in _cues(server, "srt")]
    expect(numbers == [str(number + 1) for number in range(len(numbers))], f"the numbers {shown(numbers)}")


def srt_times_have_commas(server: Server) -> None:
    """The times of `srt` are `00:00:01,500 --> 00:00:02,000`, with a comma before the milliseconds.

    SubRip knows no other form.
    """
    for cue in _cues(server, "srt"):
        expect(len(cue) >= 3 and bool(SRT_TIMES.match(cue[1])), f"the cue {shown(cue)}")


def vtt_is_text(server: Server) -> None:
    """`vtt` comes as text/vtt or plain text.

    As JSON or HTML it cannot be saved as a subtitle file.
    """
    answer = server.transcribe(response_format="vtt").accepted()
    expect(answer.content_type in VTT_TYPES, f"content-type {answer.content_type!r}")


def vtt_begins_with_its_header(server: Server) -> None:
    """`vtt` begins with a line `WEBVTT` and an empty line.

    Browsers refuse a track without it.
    """
    body = server.transcribe(response_format="vtt").accepted().text.replace("\r\n", "\n")
    expect(body.removeprefix("\ufeff").startswith("WEBVTT\n\n"), shown(body[:80]))


def vtt_times_have_dots(server: Server) -> None:
    """The times of `vtt` are `00:01.500 --> 00:02.000`, with a dot before the milliseconds.

    WebVTT knows no other form.
    """
    for cue in _cues(server, "vtt"):
        times = [line for line in cue if "-->" in line]
        expect(len(times) == 1 and bool(VTT_TIMES.match(times[0])), f"the cue {shown(cue)}")


def subtitles_have_the_words(server: Server) -> None:
    """The texts of the cues, of `srt` as of `vtt`, are the transcript.

    What a cue lacks nobody reads.
    """
    for response_format in ("srt", "vtt"):
        said = " ".join(line for cue in _cues(server, response_format) for line in _words(cue))
        expect(likeness(said, server.text) >= ALIKE, f"{response_format}: {shown(said)}")


def cues_follow_each_other(server: Server) -> None:
    """No cue ends before it begins, and none begins before the one before it ends.

    Players show cues that overlap on top of each other.
    """
    for response_format in ("srt", "vtt"):
        times = [line for cue in _cues(server, response_format) for line in cue if "-->" in line]
        moments = [_seconds(time) for line in times for time in line.split("-->")]
        expect(all(a <= b for a, b in pairwise(moments)), f"{response_format}: {shown(times)}")


def the_client_reads_subtitles(server: Server) -> None:
    """OpenAI's client makes a string of `srt` and of `vtt`.

    Its users write it to a file.
    """
    for response_format in ("srt", "vtt"):
        result = server.create(response_format=response_format)
        expect(isinstance(result, str) and "-->" in result, f"{response_format}: {shown(result)}")


def _cues(server: Server, response_format: str) -> list[list[str]]:
    """The lines of each cue, in order; raises NotChecked where nothing is said and Broken where there is none."""
    server.transcribe(response_format=response_format).accepted()
    expected = server.text
    body = server.transcribe(response_format=response_format).accepted().text.removeprefix("\ufeff")
    blocks = re.split(r"\n{2,}", body.replace("\r\n", "\n").strip())
    cues = [block.split("\n") for block in blocks if "-->" in block]
    expect(cues != [], f"no cue for {shown(expected)}: {shown(body)}")
    return cues


def _words(cue: list[str]) -> list[str]:
    after = next(number for number, line in enumerate(cue) if "-->" in line)
    return cue[after + 1 :]


def _seconds(time: str) -> float:
    parts = time.strip().split(" ")[0].replace(",", ".").split(":")
    return sum(float(part) * 60.0**power for power, part in enumerate(reversed(parts)))


SUBTITLES = Theme(
    "subtitles",
    (
        srt_is_text,
        srt_counts_from_one,
        srt_times_have_commas,
        vtt_is_text,
        vtt_begins_with_its_header,
        vtt_times_have_dots,
        subtitles_have_the_words,
        cues_follow_each_other,
        the_client_reads_subtitles,
    ),
)
