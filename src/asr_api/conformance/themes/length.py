"""What happens beyond the 30 seconds that Whisper hears at a time."""

import re
from collections import Counter

from asr_api.conformance.answer import number_of, objects_of, text_of
from asr_api.conformance.check import Theme
from asr_api.conformance.events import Stream
from asr_api.conformance.recording import Recording
from asr_api.conformance.server import TRANSCRIPTIONS, Server
from asr_api.conformance.verdict import NotChecked, expect, shown

TIMES = 4
PERIOD = 29.4
"""Seconds from one beginning to the next, so that the cuts at 30, 60 and 90 s fall on words.

Said more often, it would be what Whisper takes for a decoder in a loop, and decodes anew at random.
"""

DRIFT = 1.0
"""Seconds that the last time may be off: more than Whisper is unsure of, less than half a second for each cut."""

LOST = 0.03
"""Share of the words that may be misread; two words lost at each cut are more."""

VERBOSE = ("response_format", "verbose_json")


def no_words_are_lost_in_long_audio(server: Server) -> None:
    """The transcript of a recording that is said four times in 90 s has the words of each time.

    Servers that cut at 30 s lose the words at the cuts.
    """
    _expect_whole(text_of(_asked(server, _long(server)), "text"), server.text)


def no_segments_are_lost_in_long_audio(server: Server) -> None:
    """The segments of 90 s have all words of the transcript.

    Servers that cut at 30 s lose the segments at the cuts.
    """
    body = _asked(server, _long(server))
    joined = "".join(text_of(segment, "text") for segment in objects_of(body, "segments"))
    text = text_of(body, "text")
    expect(joined.split() == text.split(), f"{shown(joined)} where the text is {shown(text)}")


def times_do_not_drift(server: Server) -> None:
    """The last segment of 90 s ends where the last word is said, within a second.

    Times that drift at each cut put subtitles of an hour a minute off.
    """
    recording = _long(server)
    once = objects_of(server.transcribe(VERBOSE).json(), "segments")
    expect(once != [], "no segments")
    expected = number_of(once[-1], "end") + (TIMES - 1) * PERIOD
    segments = objects_of(_asked(server, recording), "segments")
    expect(segments != [], "no segments")
    end = number_of(segments[-1], "end")
    expect(abs(end - expected) <= DRIFT, f"an end at {end:.2f} s instead of {expected:.2f} s")


def long_audio_is_streamed_whole(server: Server) -> None:
    """The deltas of 90 s, one after the other, are the `text` of the final event, with all words.

    Spaces between chunks are easily lost.
    """
    recording = _long(server)
    file = (recording.name, recording.content, recording.content_type)
    stream = Stream.of(server.upload(TRANSCRIPTIONS, (("stream", "true"),), file=file))
    text, joined = text_of(stream.done(), "text"), "".join(stream.deltas())
    expect(joined.strip() == text.strip(), f"{shown(joined)} where the text is {shown(text)}")
    _expect_whole(text, server.text)


def _expect_whole(text: str, once: str) -> None:
    """Raises Broken unless each word of `once` is there each time, in any order: repeats align in many ways."""
    expected = Counter(_words(once) * TIMES)
    lost = expected - Counter(_words(text))
    share = lost.total() / expected.total()
    expect(share <= LOST, f"{lost.total()} words of {expected.total()} are lost: {shown(text)}")


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _long(server: Server) -> Recording:
    """The long recording. Raises NotChecked where its words are not read even once."""
    if not server.reads:
        raise NotChecked("the recording's words are not known, or the model does not read them")
    return server.recording.repeated(TIMES, PERIOD)


def _asked(server: Server, recording: Recording) -> dict[str, object]:
    file = (recording.name, recording.content, recording.content_type)
    return server.upload(TRANSCRIPTIONS, (VERBOSE,), file=file).json()


LENGTH = Theme(
    "long audio",
    (
        no_words_are_lost_in_long_audio,
        no_segments_are_lost_in_long_audio,
        times_do_not_drift,
        long_audio_is_streamed_whole,
    ),
)
