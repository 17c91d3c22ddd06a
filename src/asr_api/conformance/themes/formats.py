"""What `json` and `text` answers are, and that the transcript is one and the same."""

from asr_api.conformance.answer import number_of, text_of
from asr_api.conformance.check import Theme
from asr_api.conformance.server import ALIKE, Server
from asr_api.conformance.verdict import NotChecked, expect, shown
from asr_api.selftest import likeness

KEYS = frozenset({"text", "languages", "logprobs", "usage"})
TOKENS = ("input_tokens", "output_tokens", "total_tokens")


def json_has_the_text(server: Server) -> None:
    """`response_format=json` answers an object with the string `text`.

    It is the one field that every client reads.
    """
    text_of(server.transcribe(response_format="json").json(), "text")


def json_is_said_to_be_json(server: Server) -> None:
    """The content type of `json` is application/json.

    OpenAI's client parses nothing else and hands on a string instead of an object.
    """
    answer = server.transcribe(response_format="json").accepted()
    expect(answer.content_type == "application/json", f"content-type {answer.content_type!r}")


def the_default_format_is_json(server: Server) -> None:
    """Without `response_format` the answer is that of `json`, not that of `verbose_json`.

    Segments that nobody asked for cost bandwidth, and a client may tell formats by their fields.
    """
    body = server.transcribe().json()
    text_of(body, "text")
    expect(not {"segments", "words", "duration"} & body.keys(), f"the fields {sorted(body)}")


def json_has_no_fields_of_its_own(server: Server) -> None:
    """`json` has no fields but those of OpenAI's document.

    Clients that were generated from the document may refuse a body with others.
    """
    body = server.transcribe(response_format="json").json()
    expect(body.keys() <= KEYS, f"{sorted(body.keys() - KEYS)} as well")


def json_says_the_usage(server: Server) -> None:
    """`usage` in `json` is either seconds of audio or counts of tokens.

    Proxies bill by it.
    """
    usage = server.transcribe(response_format="json").json().get("usage")
    expect(isinstance(usage, dict), f"usage={shown(usage)}")
    assert isinstance(usage, dict)
    for key in TOKENS if usage.get("type") == "tokens" else ("seconds",):
        number_of(usage, key)
    expect(usage.get("type") in ("tokens", "duration"), f"type={shown(usage.get('type'))}")


def text_is_plain_text(server: Server) -> None:
    """The content type of `text` is text/plain.

    A browser shows text/html as markup, so that a transcript could run as a page.
    """
    answer = server.transcribe(response_format="text").accepted()
    expect(answer.content_type == "text/plain", f"content-type {answer.content_type!r}")


def text_is_the_transcript_alone(server: Server) -> None:
    """`response_format=text` answers the transcript and nothing around it.

    It is written to files as it comes.
    """
    body = server.transcribe(response_format="text").accepted().text
    expect(likeness(body, server.text) >= ALIKE, shown(body))
    expect(not body.lstrip().startswith(("{", '"', "[")), f"JSON: {shown(body)}")


def the_words_are_read(server: Server) -> None:
    """The transcript has the words that are said in the recording.

    A contract without a transcript serves nobody.
    """
    words = server.recording.words
    if words is None:
        raise NotChecked("nobody knows what is said in the recording")
    if not server.reads:
        raise NotChecked(f"the model reads {shown(server.text)} where {shown(words)} is said")


def the_client_reads_json(server: Server) -> None:
    """OpenAI's client makes a `Transcription` of `json`.

    Its users write `.text`.
    """
    result = server.create(response_format="json")
    expect(type(result).__name__ == "Transcription", shown(result))
    expect(isinstance(result.text, str), f"text={shown(result.text)}")


def the_client_reads_text(server: Server) -> None:
    """OpenAI's client makes a string of `text`.

    Its users print it.
    """
    result = server.create(response_format="text")
    expect(isinstance(result, str), shown(result))


FORMATS = Theme(
    "formats",
    (
        json_has_the_text,
        json_is_said_to_be_json,
        the_default_format_is_json,
        json_has_no_fields_of_its_own,
        json_says_the_usage,
        text_is_plain_text,
        text_is_the_transcript_alone,
        the_words_are_read,
        the_client_reads_json,
        the_client_reads_text,
    ),
)
