"""What a key opens, where the server wants one."""

from asr_api.conformance.answer import Answer
from asr_api.conformance.check import Theme
from asr_api.conformance.server import MODELS, TRANSCRIPTIONS, Server, bearer
from asr_api.conformance.verdict import NotChecked, expect

WRONG = "sk-this-key-is-wrong"


def a_missing_key_is_a_401(server: Server) -> None:
    """A request without a key is a 401, not a 403.

    OpenAI's client tells its users to check the key by that status.
    """
    _wanted(server)
    server.note("GET /models without a key")
    _shut(server.send("GET", MODELS, headers={"authorization": ""}))


def a_wrong_key_is_a_401(server: Server) -> None:
    """A request with a wrong key is a 401, not a 403.

    OpenAI's client tells its users to check the key by that status.
    """
    _wanted(server)
    server.note("GET /models with a wrong key")
    _shut(server.send("GET", MODELS, headers=bearer(WRONG)))


def a_wrong_key_transcribes_nothing(server: Server) -> None:
    """A transcription with a wrong key is a 401.

    A server that guards only some of its pages guards none.
    """
    _wanted(server)
    answer = server.upload(TRANSCRIPTIONS, (), headers=bearer(WRONG))
    server.note("with a wrong key")
    answer.refused(401)


def the_client_is_told_of_a_wrong_key(server: Server) -> None:
    """OpenAI's client raises `AuthenticationError` for a wrong key.

    Its users catch that.
    """
    _wanted(server)
    error = server.refusal(client=server.sdk.client.with_options(api_key=WRONG))
    server.note("with a wrong key")
    expect(type(error).__name__ == "AuthenticationError", f"{type(error).__name__}: {error}")


def _wanted(server: Server) -> None:
    """Raises NotChecked where no key was given, so that none may be wanted."""
    if server.api_key is None:
        raise NotChecked("no key was given: --api-key")


def _shut(answer: Answer) -> None:
    """Raises Broken unless this is a 401, or NotChecked where the list of models is open to all."""
    if answer.status == 200:
        raise NotChecked("the list of models needs no key")
    answer.refused(401)


ACCESS = Theme(
    "access",
    (
        a_missing_key_is_a_401,
        a_wrong_key_is_a_401,
        a_wrong_key_transcribes_nothing,
        the_client_is_told_of_a_wrong_key,
    ),
)
