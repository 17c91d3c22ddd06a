"""The headers that answers have."""

from asr_api.conformance.check import Theme
from asr_api.conformance.server import MODELS, TRANSCRIPTIONS, Server
from asr_api.conformance.verdict import expect

THEIRS = "conformance-7c1e40"


def answers_have_an_id(server: Server) -> None:
    """A transcription has a header `x-request-id`.

    It is what users quote when something went wrong.
    """
    headers = server.transcribe(response_format="json").accepted().headers
    expect(bool(headers.get("x-request-id")), "no x-request-id")


def refusals_have_an_id(server: Server) -> None:
    """A refusal has a header `x-request-id`, too.

    It is what users quote when something went wrong.
    """
    answer = server.transcribe(response_format="opera")
    expect(bool(answer.headers.get("x-request-id")), f"{answer.status} without x-request-id")


def streams_have_an_id(server: Server) -> None:
    """A stream has a header `x-request-id`, too.

    It is what users quote when something went wrong.
    """
    answer = server.transcribe(stream="true", response_format="json").accepted()
    expect(bool(answer.headers.get("x-request-id")), "no x-request-id")


def ids_differ(server: Server) -> None:
    """Two requests have two ids.

    One id for all finds nothing in a log.
    """
    first, second = (server.get(MODELS).headers.get("x-request-id") for _ in range(2))
    expect(first is not None and first != second, f"x-request-id {first!r} and {second!r}")


def an_id_that_is_sent_comes_back(server: Server) -> None:
    """The `x-request-id` of a request is that of its answer.

    So the logs of a client, a proxy and the server can be read together.
    """
    answer = server.get(MODELS, headers={"x-request-id": THEIRS})
    server.note(f"with x-request-id: {THEIRS}")
    expect(answer.headers.get("x-request-id") == THEIRS, f"x-request-id {answer.headers.get('x-request-id')!r}")


def the_client_reads_the_id(server: Server) -> None:
    """OpenAI's client knows the id of its answers and of its errors.

    Its users log `._request_id` and `.request_id`.
    """
    result = server.create(response_format="json")
    expect(bool(result._request_id), "_request_id=None")
    error = server.refusal(temperature=7)
    expect(bool(error.request_id), "request_id=None of an error")


def answers_say_how_long_they_took(server: Server) -> None:
    """A transcription has a header `openai-processing-ms` that is a number.

    Dashboards of clients plot it.
    """
    spent = server.transcribe(response_format="json").accepted().headers.get("openai-processing-ms", "")
    expect(spent.replace(".", "", 1).isdecimal(), f"openai-processing-ms {spent!r}")


def headers_of_the_client_are_taken(server: Server) -> None:
    """The headers that OpenAI's client sends besides, as `OpenAI-Organization`, change nothing.

    Gateways that know all headers refuse others.
    """
    headers = {"OpenAI-Organization": "org-1", "OpenAI-Project": "proj_1", "X-Stainless-Lang": "python"}
    server.upload(TRANSCRIPTIONS, (), headers=headers).json()
    server.note("with " + ", ".join(headers))


HEADERS = Theme(
    "headers",
    (
        answers_have_an_id,
        refusals_have_an_id,
        streams_have_an_id,
        ids_differ,
        an_id_that_is_sent_comes_back,
        the_client_reads_the_id,
        answers_say_how_long_they_took,
        headers_of_the_client_are_taken,
    ),
)
