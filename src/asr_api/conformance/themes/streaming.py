"""What `stream=true` sends."""

from asr_api.conformance.answer import Answer, number_of, objects_of, text_of
from asr_api.conformance.check import Theme
from asr_api.conformance.events import DELTA, DONE, DONE_MARK, Stream
from asr_api.conformance.server import ALIKE, TRANSCRIPTIONS, Server
from asr_api.conformance.verdict import expect, shown
from asr_api.selftest import likeness

TOKENS = ("input_tokens", "output_tokens", "total_tokens")


def a_stream_is_said_to_be_one(server: Server) -> None:
    """The content type of a stream is text/event-stream.

    A client in stream mode that gets JSON iterates over nothing, without an error.
    """
    _stream(server)


def frames_have_data_alone(server: Server) -> None:
    """Frames are `data:` lines: no `event:`, `id:` or `retry:`. Comments are none of them.

    OpenAI sends no others, and simple clients split at `data: `.
    """
    names = _stream(server).names
    expect(names == {"data"}, f"the fields {sorted(names)}")


def frames_are_openais_events(server: Server) -> None:
    """Every frame is a `transcript.text.delta` or the `transcript.text.done`, never a frame of chat.

    Clients tell events by `type` and pass over, or fail on, all others.
    """
    types = _stream(server).types()
    expect(set(types) <= {DELTA, DONE}, f"the types {shown(types)}")
    expect(types != [], "no frames")


def deltas_are_text(server: Server) -> None:
    """There is a `transcript.text.delta` where something is said, and the `delta` of each is a string.

    Without it nobody sees text before the end.
    """
    deltas = _stream(server).deltas()
    expect(any(deltas) or not server.text, f"the deltas {shown(deltas)}")


def done_is_one_and_last(server: Server) -> None:
    """One `transcript.text.done` is the last of the events.

    Clients stop reading there.
    """
    stream = _stream(server)
    stream.done()
    types = stream.types()
    expect(types[-1] == DONE, f"the types {shown(types)}")


def done_has_the_whole_text(server: Server) -> None:
    """The `text` of `transcript.text.done` is the whole transcript, never empty where something is said.

    Clients that pass over the deltas have nothing else.
    """
    text = text_of(_stream(server).done(), "text")
    expect(likeness(text, server.text) >= ALIKE, f"text={shown(text)} where the transcript is {shown(server.text)}")


def deltas_join_to_the_whole_text(server: Server) -> None:
    """The deltas, one after the other as they come, are the `text` of `transcript.text.done`.

    Clients print them as they come: spaces must be in them.
    """
    stream = _stream(server)
    joined, text = "".join(stream.deltas()), text_of(stream.done(), "text")
    expect(joined.strip() == text.strip(), f"{shown(joined)} where the text is {shown(text)}")


def nothing_but_the_mark_follows_done(server: Server) -> None:
    """After `transcript.text.done` comes `data: [DONE]`, or nothing.

    OpenAI's client stops at the mark, and knows no other that is not JSON.
    """
    stream = _stream(server)
    rest = stream.data[len(stream.events()) :]
    expect(rest in ((), (DONE_MARK,)), f"the frames {shown(rest)}")


def usage_in_done_counts_tokens(server: Server) -> None:
    """`usage` in `transcript.text.done` is left out or counts tokens.

    Its type knows no seconds.
    """
    usage = _stream(server).done().get("usage")
    if usage is None:
        return
    expect(isinstance(usage, dict) and usage.get("type") == "tokens", f"usage={shown(usage)}")
    assert isinstance(usage, dict)
    for key in TOKENS:
        number_of(usage, key)


def logprobs_may_be_streamed(server: Server) -> None:
    """`include[]=logprobs` adds `logprobs` to the events of a stream.

    They are how clients judge a transcript.
    """
    stream = Stream.of(server.transcribe(("include[]", "logprobs"), stream="true", response_format="json"))
    found = [item for event in stream.events() if "logprobs" in event for item in objects_of(event, "logprobs")]
    expect(found != [] or not server.text, "no logprobs in any event")
    for item in found:
        text_of(item, "token")
        number_of(item, "logprob")


def the_client_reads_a_stream(server: Server) -> None:
    """OpenAI's client iterates over deltas and the final event.

    Its users write `for event in stream`.
    """
    with server.create(stream=True, response_format="json") as stream:
        events = list(stream)
    names = [type(event).__name__ for event in events]
    expect("TranscriptionTextDeltaEvent" in names or not server.text, f"the events {shown(names)}")
    expect(bool(names) and names[-1] == "TranscriptionTextDoneEvent", f"the events {shown(names)}")
    expect(likeness(events[-1].text, server.text) >= ALIKE, f"text={shown(events[-1].text)}")


def text_may_be_streamed(server: Server) -> None:
    """`response_format=text` with `stream=true` is the same stream, or a 400 that names a field.

    JSON or bare text is nothing that a client in stream mode can read.
    """
    _streamed_or_refused(server, server.transcribe(stream="true", response_format="text"))


def srt_is_streamed_as_text_or_refused(server: Server) -> None:
    """`srt` with `stream=true` is a 400 that names `stream` or `response_format`, or a stream of text.

    A body of subtitles is nothing that a client in stream mode can read.
    """
    _streamed_or_refused(server, server.transcribe(stream="true", response_format="srt"))


def vtt_is_streamed_as_text_or_refused(server: Server) -> None:
    """`vtt` with `stream=true` is a 400 that names `stream` or `response_format`, or a stream of text.

    A body of subtitles is nothing that a client in stream mode can read.
    """
    _streamed_or_refused(server, server.transcribe(stream="true", response_format="vtt"))


def verbose_json_is_streamed_as_text_or_refused(server: Server) -> None:
    """`verbose_json` with `stream=true` is a 400 that names `stream` or `response_format`, or a stream of text.

    One JSON body is nothing that a client in stream mode can read.
    """
    _streamed_or_refused(server, server.transcribe(stream="true", response_format="verbose_json"))


def a_refused_stream_is_no_stream(server: Server) -> None:
    """With `stream=true` a file that is no audio is a 400 with the error as JSON, not a stream with a 200.

    OpenAI's client raises nothing for a stream that began well, until it is read.
    """
    answer = server.upload(TRANSCRIPTIONS, (("stream", "true"),), file=("empty.wav", b"", "audio/wav"))
    answer.refused(400)


def a_stream_that_is_no_boolean_is_refused(server: Server) -> None:
    """A `stream` that is neither true nor false is a 400 that names the field.

    Ignored, a client in stream mode gets JSON.
    """
    server.transcribe(stream="perhaps").refused_for("stream")


def _stream(server: Server) -> Stream:
    return Stream.of(server.transcribe(stream="true", response_format="json"))


def _streamed_or_refused(server: Server, answer: Answer) -> None:
    if answer.status != 200:
        answer.refused_for("stream", "response_format")
        return
    text = text_of(Stream.of(answer).done(), "text")
    expect(likeness(text, server.text) >= ALIKE, f"text={shown(text)}")


STREAMING = Theme(
    "streaming",
    (
        a_stream_is_said_to_be_one,
        frames_have_data_alone,
        frames_are_openais_events,
        deltas_are_text,
        done_is_one_and_last,
        done_has_the_whole_text,
        deltas_join_to_the_whole_text,
        nothing_but_the_mark_follows_done,
        usage_in_done_counts_tokens,
        logprobs_may_be_streamed,
        the_client_reads_a_stream,
        text_may_be_streamed,
        srt_is_streamed_as_text_or_refused,
        vtt_is_streamed_as_text_or_refused,
        verbose_json_is_streamed_as_text_or_refused,
        a_refused_stream_is_no_stream,
        a_stream_that_is_no_boolean_is_refused,
    ),
)
