"""OpenAI's Python client, synchronous and not: its exceptions, and when it asks again."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from asr_api.http import create_http_app
from tests.e2e.obstacles import KEY, UPLOAD_LIMIT, Breaking, Slowing, Stumbling, slow_request, strict_server
from tests.e2e.official import TRANSCRIBE, TRANSLATE, Official, asked
from tests.e2e.process import ServerProcess
from tests.e2e.recordings import CALLSIGN, words
from tests.http.fakes import AUDIO, HELLO, FakeService
from tests.test_client import serving

ENGLISH = CALLSIGN["en-16.flac"]
BAD, MISSING = openai.BadRequestError, openai.NotFoundError

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # as the client calls translations


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    """Whether it is the asynchronous client."""
    return bool(request.param)


@pytest.fixture
def official(callsign_server: ServerProcess, asynchronous: bool) -> Official:
    """A client of the bundled model."""
    return Official(callsign_server.url, asynchronous)


@pytest.fixture(scope="module")
def strict(model_dir: Path) -> Iterator[ServerProcess]:
    """One place, one key, little room; it has answered once, so that it knows how fast it is."""
    with strict_server(model_dir) as server:
        Official(server.url, asynchronous=False, key=KEY).ask(TRANSCRIBE, **asked(ENGLISH))
        yield server


NO_AUDIO = ("speech.wav", b"these are words, but nobody says them", "audio/wav")
REFUSALS: list[tuple[str, dict[str, object], type[openai.APIStatusError], str, str | None]] = [
    (TRANSCRIBE, {"model": "gpt-5"}, MISSING, "model_not_found", "model"),
    (TRANSCRIBE, {"file": NO_AUDIO}, BAD, "unsupported_format", "file"),
    (TRANSCRIBE, {"file": NO_AUDIO, "stream": True}, BAD, "unsupported_format", "file"),
    (TRANSCRIBE, {"file": b""}, BAD, "empty_audio", "file"),
    (TRANSCRIBE, {"language": "tlh"}, BAD, "invalid_value", "language"),
    (TRANSCRIBE, {"languages": ["en", "de"]}, BAD, "invalid_value", "languages"),
    (TRANSCRIBE, {"temperature": 1.5}, BAD, "invalid_value", "temperature"),
    (TRANSCRIBE, {"keywords": ["<b>"]}, BAD, "invalid_value", "keywords"),
    (TRANSCRIBE, {"response_format": "xml"}, BAD, "invalid_value", "response_format"),
    (TRANSCRIBE, {"response_format": "diarized_json"}, BAD, "invalid_value", "response_format"),
    (TRANSCRIBE, {"timestamp_granularities": ["line"]}, BAD, "invalid_value", "timestamp_granularities"),
    (TRANSCRIBE, {"include": ["words"]}, BAD, "invalid_value", "include"),
    (TRANSCRIBE, {"include": ["logprobs"], "response_format": "text"}, BAD, "invalid_value", "include"),
    (TRANSCRIBE, {"chunking_strategy": "none"}, BAD, "invalid_value", "chunking_strategy"),
    (TRANSCRIBE, {"known_speaker_names": ["Ada"]}, BAD, "unsupported_parameter", "known_speaker_names"),
    (TRANSLATE, {"model": "gpt-5"}, MISSING, "model_not_found", "model"),
    (TRANSLATE, {"file": NO_AUDIO}, BAD, "unsupported_format", "file"),
    (TRANSLATE, {"response_format": "xml"}, BAD, "invalid_value", "response_format"),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "fields", "kind", "code", "param"), REFUSALS)
def test_a_refusal_is_the_right_exception_and_never_sent_again(
    endpoint: str,
    fields: dict[str, object],
    kind: type[openai.APIStatusError],
    code: str,
    param: str | None,
    official: Official,
) -> None:
    """With message, code and field, and the request's id; a client with retries asks once only."""
    official.max_retries = 2
    with pytest.raises(kind) as caught:
        official.ask(endpoint, **asked(ENGLISH) | fields)
    error = caught.value
    assert (error.code, error.param, error.type) == (code, param, "invalid_request_error")
    assert isinstance(error.body, dict)
    assert error.body["message"] in error.message
    assert error.request_id
    assert official.statuses == [error.status_code]


def test_an_unknown_model_is_not_found(official: Official) -> None:
    """As OpenAI says it."""
    with pytest.raises(openai.NotFoundError) as caught:
        official.ask("models.retrieve", model="owner/other")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_what_is_not_served_is_told_in_the_envelope(official: Official) -> None:
    """Other parts of OpenAI's API are unknown URLs, and a model cannot be deleted."""
    with pytest.raises(openai.NotFoundError) as caught:
        official.ask("embeddings.create", model="text-embedding-3-small", input="words")
    assert (caught.value.code, caught.value.type) == ("unknown_url", "invalid_request_error")
    with pytest.raises(openai.APIStatusError) as refused:
        official.ask("models.delete", model="callsign")
    assert (refused.value.status_code, refused.value.code) == (405, "method_not_allowed")


@pytest.mark.parametrize("endpoint", [TRANSCRIBE, TRANSLATE, "models.list"])
def test_a_wrong_key_is_an_authentication_error(endpoint: str, strict: ServerProcess, asynchronous: bool) -> None:
    """401 as OpenAI says it, once only; the key is not in the message."""
    key = f"{KEY}x"
    official = Official(strict.url, asynchronous, key=key, max_retries=2)
    with pytest.raises(openai.AuthenticationError) as caught:
        official.ask(endpoint, **{} if endpoint == "models.list" else asked(ENGLISH))
    assert (caught.value.code, caught.value.type) == ("invalid_api_key", "invalid_request_error")
    assert key not in caught.value.message
    assert official.statuses == [401]


@pytest.mark.parametrize("size", [UPLOAD_LIMIT, 40 * UPLOAD_LIMIT])
def test_too_large_a_file_is_told_and_never_sent_again(size: int, strict: ServerProcess, asynchronous: bool) -> None:
    """413 has no class of its own in the client; it is read although the server does not read the body."""
    official = Official(strict.url, asynchronous, key=KEY, max_retries=2)
    with pytest.raises(openai.APIStatusError) as caught:
        official.ask(TRANSCRIBE, file=bytes(size), model="whisper-1")
    assert (caught.value.status_code, caught.value.code) == (413, "upload_too_large")
    assert official.statuses == [413]


def test_a_full_server_is_an_internal_server_error(strict: ServerProcess, asynchronous: bool) -> None:
    """503 with its code, and when to come back, where the client is not to retry by itself."""
    official = Official(strict.url, asynchronous, key=KEY)
    with slow_request(strict) as slow:
        with pytest.raises(openai.InternalServerError) as caught:
            official.ask(TRANSCRIBE, **asked(ENGLISH))
        slow.finish()
    assert (caught.value.status_code, caught.value.code, caught.value.type) == (503, "queue_full", "server_error")
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 120


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_server_is_asked_again_until_there_is_room(
    stream: bool, strict: ServerProcess, asynchronous: bool
) -> None:
    """Two refusals, then the place is free and the same call returns the transcript."""
    with slow_request(strict) as slow:
        official = Official(strict.url, asynchronous, key=KEY, max_retries=2)
        official.on_status = lambda _: slow.finish() if len(official.statuses) == 2 else None
        answer = official.ask(TRANSCRIBE, **asked(ENGLISH, stream=stream))
    assert official.statuses == [503, 503, 200]
    assert words((answer[-1] if stream else answer).text) == words(ENGLISH.text)


@pytest.mark.parametrize("retries", [0, 1])
def test_a_client_gives_up_after_its_retries(retries: int, asynchronous: bool) -> None:
    """What it raises is the last refusal."""
    with serving(create_http_app(Stumbling())) as url:
        official = Official(url, asynchronous, max_retries=retries)
        with pytest.raises(openai.InternalServerError):
            official.ask(TRANSCRIBE, file=AUDIO, model="whisper-1")
    assert official.statuses == [503] * (retries + 1)


def test_an_error_in_mid_stream_is_raised(asynchronous: bool) -> None:
    """After the deltas that came before it, with message, code and type."""
    with serving(create_http_app(Breaking())) as url:
        official = Official(url, asynchronous, max_retries=2)
        with pytest.raises(openai.APIError) as caught:
            official.ask(TRANSCRIBE, file=AUDIO, model="whisper-1", stream=True)
    error = caught.value
    assert (error.message, error.code, error.type) == ("the engine failed", "engine_error", "server_error")
    assert official.statuses == [200]


def test_a_timeout_is_the_client_s(asynchronous: bool) -> None:
    """A server that works on is left alone after so many seconds."""
    with serving(create_http_app(FakeService(gated=True))) as url, pytest.raises(openai.APITimeoutError):
        Official(url, asynchronous, timeout=0.5).ask(TRANSCRIBE, file=AUDIO, model="whisper-1")


def test_a_retry_after_a_timeout_joins_its_own_work(asynchronous: bool) -> None:
    """The client sends the file again, and the service works on it once."""
    service = Slowing()
    with serving(create_http_app(service)) as url:
        official = Official(url, asynchronous, timeout=0.5, max_retries=3)
        answer = official.ask(TRANSCRIBE, file=AUDIO, model="whisper-1")
    assert answer.text == HELLO.text
    assert len(service.heard) == 1
