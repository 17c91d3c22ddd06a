"""What is refused, with which status, code and field."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from asr_api.errors import AsrError, DeadlineExceeded, EngineFailure, InvalidAudio, Overloaded
from asr_api.http import create_http_app
from asr_api.http.forms import TranscribeForm

from .fakes import AUDIO, FakeService, client_of, multipart

OPENAI, OURS = "/v1/audio/transcriptions", "/transcribe"
FILE, WHISPER = ("file", AUDIO), ("model", "whisper-1")
Part = tuple[str, str | bytes]


def refused(service: FakeService, path: str, content: bytes | Iterator[bytes], headers: Mapping[str, str]) -> list[str]:
    """[status, code, param, message] of a refusal, whose envelope must be whole."""
    response = client_of(service).post(path, content=content, headers=headers)
    assert list(response.json()) == ["error"]
    error = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    return [response.status_code, error["code"], error["param"], error["message"]]


@pytest.mark.parametrize(
    ("part", "code", "param", "says"),
    [
        (("response_format", "SRT"), "invalid_value", "response_format", "'json', 'text', 'srt', 'verbose_json' or"),
        (("response_format", "diarized_json"), "invalid_value", "response_format", "diarization is not served"),
        (("stream", "perhaps"), "invalid_value", "stream", "boolean"),
        (("temperature", "NaN"), "invalid_value", "temperature", "finite"),
        (("temperature", "1e309"), "invalid_value", "temperature", "finite"),
        (("temperature", "0.５"), "invalid_value", "temperature", "number"),
        (("temperature", "-0.1"), "invalid_value", "temperature", "greater than or equal to 0"),
        (("temperature", "1.01"), "invalid_value", "temperature", "less than or equal to 1"),
        (("language", "../../x"), "invalid_value", "language", "'en'"),
        (("language", "ja"), "invalid_value", "language", "not a language of the served model"),
        (("language", "l" * 33), "invalid_value", "language", "at most 32"),
        (("prompt", "p" * 4097), "invalid_value", "prompt", "at most 4096 characters"),
        (("timestamp_granularities[]", "word"), "invalid_value", "timestamp_granularities", "verbose_json only"),
        (("timestamp_granularities", "syllable"), "invalid_value", "timestamp_granularities", "'segment' or 'word'"),
        (("timestamp_granularities", '["word"'), "invalid_value", "timestamp_granularities", "'segment' or 'word'"),
        (("timestamp_granularities", "[" * 9999), "invalid_value", "timestamp_granularities", "'segment' or 'word'"),
        (("include[]", "usage"), "invalid_value", "include", "'logprobs'"),
        (("language[code]", "en"), "unknown_parameter", "language[code]", "which takes file, model, prompt"),
        (("known_speaker_names[]", "Ann"), "unsupported_parameter", "known_speaker_names", "speakers"),
        (("model", "whisper-1"), "invalid_value", "model", "more than once"),
        (("file", "text"), "invalid_file", "file", "not text"),
        (("file", AUDIO), "multiple_files", "file", "one file"),
        (("n" * 999, "x"), "unknown_parameter", "n" * 64, "not a field"),
    ],
)
def test_wrong_fields_are_named(part: Part, code: str, param: str, says: str) -> None:
    """A field that cannot be served is refused with its name and what would be."""
    *facts, message = refused(FakeService(), OPENAI, *multipart(part, WHISPER, FILE))
    assert facts == [400, code, param]
    assert says in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("parts", "code", "param"),
    [
        ([WHISPER], "missing_file", "file"),
        ([WHISPER, ("file", "text")], "invalid_file", "file"),
        ([FILE], "missing_required_parameter", "model"),
        ([FILE, WHISPER, ("task", "translate")], "unknown_parameter", "task"),
        ([WHISPER, FILE, *[("timestamp_granularities", "segment")] * 64], "too_many_parts", None),
        ([WHISPER, FILE, ("prompt", "p" * 65537)], "invalid_value", "prompt"),
    ],
)
def test_wrong_forms_are_refused(parts: list[Part], code: str, param: str | None) -> None:
    """A form needs one file and a model, and is bounded in fields and in their size."""
    assert refused(FakeService(), OPENAI, *multipart(*parts))[:3] == [400, code, param]


def test_unknown_task_is_refused() -> None:
    """Our endpoint transcribes and translates, nothing else."""
    assert refused(FakeService(), OURS, *multipart(FILE, ("task", "sing")))[:3] == [400, "invalid_value", "task"]


@pytest.mark.parametrize("path", [OPENAI, OURS])
def test_unknown_models_are_not_found(path: str) -> None:
    """A model that is not served is 404, and the answer says which one is."""
    *facts, message = refused(FakeService(), path, *multipart(FILE, ("model", "large-v9")))
    assert facts == [404, "model_not_found", "model"]
    assert "owner/tiny" in message


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"content-type": "application/json"}, "multipart/form-data"),
        ({"content-type": "application/x-www-form-urlencoded"}, "multipart/form-data"),
        ({"content-type": ""}, "multipart/form-data"),
        ({"content-type": "multipart/form-data; boundary=edge; charset=undefined"}, "UTF-8"),
        ({"content-type": "multipart/form-data; boundary=edge", "content-encoding": "gzip"}, "compressed"),
    ],
)
def test_other_media_are_refused_unread(headers: Mapping[str, str], says: str) -> None:
    """Only plain multipart in UTF-8 is read; anything else is 415 before a place is taken."""
    service = FakeService(refusal=Overloaded("full"))
    *facts, message = refused(service, OURS, multipart(FILE)[0], headers)
    assert facts == [415, "unsupported_media_type", None]
    assert says in message


WHOLE, HEADERS = multipart(FILE)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (WHOLE, "multipart/form-data"),
        (WHOLE, "multipart/form-data; boundary=" + "b" * 300),
        (b"garbage", HEADERS["content-type"]),
        (b"", HEADERS["content-type"]),
        (WHOLE[:-4], HEADERS["content-type"]),
        (WHOLE[: WHOLE.index(AUDIO) + 4] + b"\0" * (2 << 20), HEADERS["content-type"]),
        (b"--edge\r\nContent-Disposition: form-data\r\n\r\nx\r\n--edge--\r\n", HEADERS["content-type"]),
    ],
)
def test_broken_multipart_is_refused(body: bytes, content_type: str) -> None:
    """A body that is not whole multipart is 400, and leaves no file behind (an open one warns)."""
    assert refused(FakeService(), OURS, body, {"content-type": content_type})[:2] == [400, "invalid_multipart"]


@pytest.mark.parametrize(("length", "expects"), [("1001", False), ("9" * 5000, False), ("1001", True)])
def test_declared_size_over_the_limit_is_refused_before_it_is_read(length: str, expects: bool) -> None:
    """413 at once, even where no place is free; then the body is thrown away, so that the answer is not lost.

    A client that waits for `100 Continue` is never told to send.
    """
    service = FakeService(refusal=Overloaded("full"), max_upload_bytes=1000)
    events: list[str] = []
    bodies = iter([{"type": "http.request", "more_body": True}, {"type": "http.request", "more_body": False}])

    async def receive() -> Message:
        events.append("receive")
        return next(bodies)

    async def send(message: Message) -> None:
        events.append(str(message.get("status", "end" if not message.get("more_body") else "body")))

    headers = [(b"content-length", length.encode()), *([(b"expect", b"100-continue")] if expects else [])]
    scope = {"type": "http", "method": "POST", "path": OURS, "headers": headers, "query_string": b""}
    asyncio.run(create_http_app(service)(scope, receive, send))
    assert events == ["413", "body", *([] if expects else ["receive", "receive"]), "end"]


def test_chunked_body_is_refused_where_it_passes_the_limit() -> None:
    """A body of unknown size is read up to the limit and not much further."""
    body, headers = multipart(("file", b"\0" * 1_000_000))
    taken = []

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 1000):
            taken.append(start)
            yield body[start : start + 1000]

    service = FakeService(max_upload_bytes=10_000)
    response = asyncio.run(upload(service, chunks(), headers))
    assert (response.status_code, response.json()["error"]["code"]) == (413, "upload_too_large")
    assert (len(taken), service.heard, service.places) == (12, [], 0)


async def upload(service: FakeService, chunks: Iterator[bytes], headers: Mapping[str, str]) -> httpx2.Response:
    """Send chunks as the app takes them: Starlette's own client would join them first."""

    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    transport = httpx2.ASGITransport(create_http_app(service))
    async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
        return await client.post(OURS, content=body(), headers=headers)


def test_body_of_the_limit_is_taken() -> None:
    """The limit itself is allowed."""
    body, headers = multipart(FILE)
    service = FakeService(max_upload_bytes=len(body))
    assert client_of(service).post(OURS, content=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("error", "facts", "retry"),
    [
        (InvalidAudio("no audio stream", code="no_audio"), [400, "no_audio", None, "no audio stream"], "false"),
        (EngineFailure("the engine failed"), [500, "engine_error", None, "the engine failed"], "false"),
        (DeadlineExceeded("too late"), [504, "deadline_exceeded", None, "too late"], None),
        (Overloaded("full", retry_after=2.1), [503, "queue_full", None, "full"], None),
    ],
)
def test_errors_of_the_service_are_told(error: AsrError, facts: list[str], retry: str | None) -> None:
    """Each error has its status and code, and tells clients whether a retry makes sense."""
    assert refused(FakeService(error=error), OURS, *multipart(FILE)) == facts
    body, headers = multipart(FILE)
    assert (
        client_of(FakeService(error=error)).post(OURS, content=body, headers=headers).headers.get("x-should-retry")
        == retry
    )


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (2.1, "3"), (None, None)])
def test_retry_after_is_a_whole_second_or_more(seconds: float | None, header: str | None) -> None:
    """OpenAI's clients read whole seconds, at least one."""
    body, headers = multipart(FILE)
    service = FakeService(refusal=Overloaded("full", retry_after=seconds))
    response = client_of(service).post(OURS, content=body, headers=headers)
    assert (response.status_code, response.headers.get("retry-after")) == (503, header)


def test_place_is_taken_before_the_body_is_read() -> None:
    """Where there is no room, the body is not read at all."""
    service = FakeService(refusal=Overloaded("full"))

    def unread() -> Iterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    headers = {**HEADERS, "content-length": str(len(WHOLE))}
    assert refused(service, OURS, unread(), headers)[:2] == [503, "queue_full"]


def routes(app: FastAPI) -> Iterator[tuple[str, frozenset[str]]]:
    """Each path with the methods it serves, a name in the place of each parameter."""
    for path, operations in app.openapi()["paths"].items():
        yield re.sub(r"\{[^}]*\}", "nothing", path), frozenset(method.upper() for method in operations)


ROUTES = dict(routes(create_http_app(FakeService()))) | {"/nowhere": frozenset(), "/v1/": frozenset()}


def test_the_walk_has_all_routes() -> None:
    """All that the document has is walked below."""
    assert {"/transcribe", "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/models"} < ROUTES.keys()
    assert {"/v1/models/nothing", "/livez", "/readyz", "/metrics"} < ROUTES.keys()


@pytest.mark.parametrize("path", [*ROUTES, *(f"{path}/" for path in ROUTES)])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_whatever_is_not_there_answers_in_the_envelope(method: str, path: str) -> None:
    """On every path every wrong method, empty or strange body is refused in the same envelope, and never with 5xx."""
    response = client_of(FakeService()).request(method, path, content=b"" if method == "GET" else b"{}")
    if response.status_code == 200:
        assert method in ROUTES[path]
        return
    assert list(response.json()) == ["error"]
    error = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    served = method in ROUTES.get(path, ())
    expected = {404: "model_not_found", 415: "unsupported_media_type"} if served else {
        404: "model_not_found" if path.startswith("/v1/models/") else "unknown_url", 405: "method_not_allowed"
    }  # fmt: skip
    assert error["code"] == expected[response.status_code]
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", ["/transcribe", "/v1/audio/transcriptions", "/v1/audio/translations"])
def test_a_wrong_method_is_told_which_are_right(path: str) -> None:
    """405 names the path, and the methods that it has."""
    response = client_of(FakeService()).get(path)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert path in response.json()["error"]["message"]


CLIENT = client_of(FakeService())
FIELDS = [*TranscribeForm.model_fields, "timestamp_granularities[]"]
NAMES = st.sampled_from(FIELDS) | st.from_regex(re.compile(r"[a-z\[\]]{1,20}", re.ASCII), fullmatch=True)
VALUES = st.text(max_size=50) | st.binary(max_size=50) | st.floats().map(str) | st.sampled_from(["word", "json", "[]"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.sampled_from([OPENAI, OURS, "/v1/audio/translations"]))
def test_no_form_breaks_the_server(parts: list[Part], path: str) -> None:
    """Whatever the fields say, the answer is a transcript or a 4xx with its envelope."""
    body, headers = multipart(*parts, boundary="an edge that no value has")
    response = CLIENT.post(path, content=body, headers=headers)
    assert response.status_code in (200, 400, 404)
    assert response.status_code == 200 or response.json()["error"]["code"]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_no_body_breaks_the_server(body: bytes, parameters: str) -> None:
    """Whatever bytes come, and however multipart says that it is delimited, the answer is a 4xx."""
    headers = {"content-type": f"multipart/form-data; boundary=edge{parameters}"}
    response = CLIENT.post(OURS, content=b"--edge" + body, headers=headers)
    assert response.status_code in (400, 415)
