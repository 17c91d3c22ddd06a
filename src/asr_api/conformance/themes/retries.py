"""What OpenAI's client sends again, and what comes of it."""

from asr_api.conformance.answer import Answer, text_of
from asr_api.conformance.check import Theme
from asr_api.conformance.server import ALIKE, TRANSCRIPTIONS, Server
from asr_api.conformance.verdict import expect, shown
from asr_api.selftest import likeness


def a_wrong_field_is_sent_once(server: Server) -> None:
    """OpenAI's client sends a request with a wrong field once, with its usual two retries.

    Each retry uploads the whole file again, in vain.
    """
    _sent_once(server, temperature=7)


def a_bad_file_is_sent_once(server: Server) -> None:
    """OpenAI's client sends a file that is no audio once, with its usual two retries.

    Each retry uploads the whole file again, in vain.
    """
    _sent_once(server, file=("notes.wav", b"no audio\n" * 99, "audio/wav"))


def an_unknown_model_is_sent_once(server: Server) -> None:
    """OpenAI's client sends a request for an unknown model once, with its usual two retries.

    Each retry uploads the whole file again, in vain.
    """
    _sent_once(server, model="no-such-model")


def refusals_say_not_to_retry(server: Server) -> None:
    """A 400 and a 404 have the header `x-should-retry: false`.

    Clients that retry by the header, and proxies, then know that it is in vain.
    """
    for answer in (server.transcribe(response_format="opera"), server.transcribe(model="no-such-model")):
        said = answer.headers.get("x-should-retry")
        expect(said == "false", f"{answer.status} with x-should-retry {said!r}")


def a_retry_is_answered(server: Server) -> None:
    """A request that says it is a retry, by `x-stainless-retry-count`, is answered like the first.

    It is sent after a timeout, by a client that still waits.
    """
    _same(server, _again(server, "x-stainless-retry-count", "1"))


def an_idempotency_key_is_taken(server: Server) -> None:
    """A request with an `Idempotency-Key` is answered.

    OpenAI's clients can send one with every upload.
    """
    _same(server, _again(server, "idempotency-key", "conformance-0d9b"))


def _again(server: Server, header: str, value: str) -> Answer:
    answer = server.upload(TRANSCRIPTIONS, (), headers={header: value})
    server.note(f"with {header}: {value}")
    return answer


def _same(server: Server, answer: Answer) -> None:
    text = text_of(answer.json(), "text")
    expect(likeness(text, server.text) >= ALIKE, f"text={shown(text)}")


def _sent_once(server: Server, **options: object) -> None:
    before = server.sdk.sent
    error = server.refusal(client=server.sdk.retrying, **options)
    sent = server.sdk.sent - before
    expect(sent == 1, f"{sent} requests, for the server answered {error.status_code}")


RETRIES = Theme(
    "retries",
    (
        a_wrong_field_is_sent_once,
        a_bad_file_is_sent_once,
        an_unknown_model_is_sent_once,
        refusals_say_not_to_retry,
        a_retry_is_answered,
        an_idempotency_key_is_taken,
    ),
)
