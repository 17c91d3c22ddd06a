"""What is counted, logged and told in headers, and how requests end."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import ASGIApp, Message

from asr_api.errors import DeadlineExceeded, EngineFailure, Overloaded
from asr_api.http import create_http_app

from .fakes import AUDIO, FakeService, client_of, multipart

OPENAI, OURS = "/v1/audio/transcriptions", "/transcribe"
BODY, HEADERS = multipart(("file", AUDIO), ("model", "whisper-1"))


@pytest.mark.parametrize(("path", "endpoint"), [(OURS, "transcribe"), (OPENAI, "transcriptions")])
@pytest.mark.parametrize(
    ("service", "outcome", "status"),
    [
        (lambda: FakeService(), "ok", 200),
        (lambda: FakeService(max_upload_bytes=1), "client_error", 413),
        (lambda: FakeService(refusal=Overloaded("full")), "shed", 503),
        (lambda: FakeService(error=DeadlineExceeded("late")), "deadline", 504),
        (lambda: FakeService(error=EngineFailure("broke")), "engine_error", 500),
        (lambda: FakeService(error=ZeroDivisionError("bug")), "internal_error", 500),
    ],
)
def test_each_request_is_counted_and_logged_once(
    service: Callable[[], FakeService],
    outcome: str,
    status: int,
    path: str,
    endpoint: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every way to end counts one request under one outcome, and writes one record."""
    caplog.set_level(logging.INFO)
    asked = service()
    assert client_of(asked).post(path, content=BODY, headers=HEADERS).status_code == status
    samples = [s for m in asked.metrics.registry.collect() for s in m.samples if s.name == "asr_requests_total"]
    assert {tuple(s.labels.values()) for s in samples if s.value} == {(endpoint, outcome)}
    assert asked.count("asr_requests_total", endpoint=endpoint, outcome=outcome) == 1
    assert asked.count("asr_requests_in_flight") == 0
    (record,) = (r for r in caplog.records if r.getMessage() == "request")
    assert (record.endpoint, record.status, record.outcome) == (endpoint, status, outcome)  # type: ignore[attr-defined]


def test_log_record_has_figures_and_no_content(caplog: pytest.LogCaptureFixture) -> None:
    """The record of a request has its times and batches; never transcript, prompt or file name."""
    caplog.set_level(logging.INFO, logger="asr_api")
    body, headers = multipart(("file", AUDIO), ("prompt", "a canary sings"))
    response = client_of(FakeService()).post(OURS, content=body, headers=headers)
    (record,) = caplog.records
    facts = vars(record)
    assert (facts["id"], facts["audio_seconds"], facts["batch_sizes"]) == (response.headers["x-request-id"], 2.5, [3])
    assert list(facts["stages"]) == ["upload", "inference", "render"]
    assert not re.search("canary|Hello|speech.wav", str(facts))


def test_bugs_are_answered_without_their_cause(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody foresaw is a 500 in the envelope, and its cause is in the log with the id."""
    response = client_of(FakeService(error=ZeroDivisionError("secret"))).post(OURS, content=BODY, headers=HEADERS)
    assert response.json()["error"]["code"] == "internal_error"
    assert "secret" not in response.text
    assert response.headers["x-should-retry"] == "false"
    (record,) = (r for r in caplog.records if r.exc_info)
    assert vars(record)["id"] == response.headers["x-request-id"]


def test_headers_tell_what_the_request_took() -> None:
    """The answer about audio has the time of each stage and the seconds of audio."""
    headers = client_of(FakeService()).post(OURS, content=BODY, headers=HEADERS).headers
    assert re.fullmatch(r"upload;dur=[\d.]+, inference;dur=250\.0, render;dur=[\d.]+", headers["server-timing"])
    assert headers["x-audio-duration-seconds"] == "2.500"
    assert headers["openai-processing-ms"].isdecimal()


def test_other_endpoints_have_an_id_only_and_count_nothing() -> None:
    """What is not about audio is named and timed, but is no request in the metrics."""
    service = FakeService()
    headers = client_of(service).get("/livez").headers
    assert {"x-request-id", "openai-processing-ms"} <= headers.keys()
    assert not {"server-timing", "x-audio-duration-seconds"} & headers.keys()
    samples = [s for m in service.metrics.registry.collect() for s in m.samples if s.name == "asr_requests_total"]
    assert not any(s.value for s in samples)


@pytest.mark.parametrize(
    ("inbound", "kept"),
    [("Abc-1._", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("é", False), ("", False), ("a\n", False)],
)
def test_request_id_is_taken_over_where_it_is_harmless(inbound: str, kept: bool) -> None:
    """A caller's id of up to 64 plain characters is kept; anything else is replaced."""
    answer = client_of(FakeService()).get("/livez", headers={b"x-request-id": inbound.encode()})
    assert (answer.headers["x-request-id"] == inbound) == kept
    assert kept or re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_paths_below_a_prefix_are_counted() -> None:
    """Behind a proxy that strips a prefix, the endpoints are still known."""
    service = FakeService()
    app = create_http_app(service)
    asyncio.run(exchange(app, [whole(BODY)], root_path="/asr", path="/asr/transcribe"))
    assert service.count("asr_requests_total", endpoint="transcribe", outcome="ok") == 1


def test_disconnect_cancels_the_work(caplog: pytest.LogCaptureFixture) -> None:
    """When the client goes away, its work is cancelled, its file closed and its place given back."""
    caplog.set_level(logging.INFO, logger="asr_api")
    service = FakeService(gated=True)

    async def leave() -> Message:
        await service.entered.wait()
        return {"type": "http.disconnect"}

    sent = asyncio.run(exchange(create_http_app(service), [whole(BODY), leave]))
    assert (sent, service.cancelled, service.files[0].closed, service.places) == ([], True, True, 0)
    assert service.count("asr_requests_total", endpoint="transcribe", outcome="cancelled") == 1
    assert [vars(record)["status"] for record in caplog.records] == [499]
    assert service.count("asr_client_disconnects_total", phase="decode") == 1
    assert service.count("asr_client_disconnects_total") == 1


def test_disconnect_within_the_upload_ends_it() -> None:
    """A client that leaves while it uploads is a cancelled request; nothing is transcribed."""
    service = FakeService()
    steps = [whole(BODY[:-10], more=True), gone]
    assert asyncio.run(exchange(create_http_app(service), steps)) == []
    assert (service.heard, service.places) == ([], 0)
    assert service.count("asr_requests_total", endpoint="transcribe", outcome="cancelled") == 1
    assert service.count("asr_client_disconnects_total", phase="upload") == 1


def test_cancellation_by_the_server_passes_through() -> None:
    """A server that gives up on a request cancels its work, and the request counts as cancelled."""
    service = FakeService(gated=True)

    async def give_up() -> None:
        task = asyncio.create_task(exchange(create_http_app(service), [whole(BODY), never]))
        await service.entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert (service.cancelled, service.files[0].closed, service.places) == (True, True, 0)
    assert service.count("asr_requests_total", endpoint="transcribe", outcome="cancelled") == 1


Step = Callable[[], Awaitable[Message]]


async def exchange(app: ASGIApp, steps: list[Step], path: str = OURS, root_path: str = "") -> list[Message]:
    """Drive the app by hand: `steps` are what it receives, one by one; what it sends comes back."""
    sent: list[Message] = []
    left = iter(steps)

    async def receive() -> Message:
        return await next(left, never)()

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "root_path": root_path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in HEADERS.items()],
    }
    await app(scope, receive, send)
    return sent


def whole(body: bytes, more: bool = False) -> Step:
    """A step that is the request's body, or with `more` the beginning of it."""

    async def step() -> Message:
        return {"type": "http.request", "body": body, "more_body": more}

    return step


async def gone() -> Message:
    return {"type": "http.disconnect"}


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError
