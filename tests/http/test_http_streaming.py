"""Answers that are sent while they are made, and clients that leave and come back."""

import asyncio
import json
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest
from starlette.types import Message

from asr_api.errors import AsrError, DeadlineExceeded, EngineFailure, InvalidAudio, Overloaded
from asr_api.http import create_http_app
from asr_api.http.live import KEEP_ALIVE
from asr_api.transcription import TokenLogprob, Transcription

from ..clocks import run_virtually
from .fakes import AUDIO, HELLO, FakeService, client_of, multipart
from .serving import FilesService, connected, serving, until

OPENAI, OURS = "/v1/audio/transcriptions", "/transcribe"
DONE = "data: [DONE]"
Part = tuple[str, str | bytes]
FILE: Part = ("file", AUDIO)
WHISPER: Part = ("model", "whisper-1")
STREAM: Part = ("stream", "true")
Json = dict[str, Any]


def post(service: FakeService, path: str, *parts: Part) -> httpx2.Response:
    """The whole of a stream, when it has ended."""
    body, headers = multipart(*parts)
    return client_of(service).post(path, content=body, headers=headers)


def events(text: str) -> list[Json]:
    """The JSON of server-sent events that are data only."""
    frames = [frame for frame in text.split("\n\n") if frame]
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    return [json.loads(frame.removeprefix("data: ")) for frame in frames if frame != DONE]


def lines(text: str) -> list[Json]:
    return [json.loads(line) for line in text.splitlines()]


def counted(service: FakeService, outcome: str, endpoint: str = "transcriptions") -> float:
    return service.count("asr_requests_total", endpoint=endpoint, outcome=outcome)


def assert_released(service: FakeService) -> None:
    """No place, file or byte is held any more, and no request counts as running."""
    assert (service.places, service.spool.used, service.spool.files) == (0, 0, 0)
    assert all(file.closed for file in service.files)
    assert service.count("asr_requests_in_flight") == 0


# OpenAI's stream


def test_openai_stream_is_deltas_then_the_whole() -> None:
    """Data-only frames: a delta for each part, the whole with its tokens, and `[DONE]`; nothing else."""
    service = FakeService(replace(HELLO, output_tokens=7))
    response = post(service, OPENAI, FILE, WHISPER, STREAM)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert "content-length" not in response.headers
    assert events(response.text) == [
        {"type": "transcript.text.delta", "delta": "Hello there."},
        {"type": "transcript.text.delta", "delta": " Bye."},
        {
            "type": "transcript.text.done",
            "text": "Hello there. Bye.",
            "usage": {"type": "tokens", "input_tokens": 125, "output_tokens": 7, "total_tokens": 132},
        },
    ]
    assert response.text.endswith(f"{DONE}\n\n")
    assert counted(service, "ok") == 1
    assert_released(service)


@pytest.mark.parametrize("text", ['naïve "quotes"\nand lines', "日本語。", "\u2028 \r\n data: [DONE]", ""])
def test_deltas_join_exactly_to_the_whole(text: str) -> None:
    """Whatever is said, a frame is one line, and the deltas together are the text of `done`."""
    segments = tuple(replace(HELLO.segments[0], id=n, text=piece) for n, piece in enumerate([text, " ", text, ""]))
    answer = replace(HELLO, text=f"{text.lstrip()} {text}", segments=segments)
    *deltas, done = events(post(FakeService(answer), OPENAI, FILE, WHISPER, STREAM).text)
    assert "".join(delta["delta"] for delta in deltas) == done["text"] == answer.text
    assert all(delta["delta"] for delta in deltas)


def test_silence_is_streamed_as_no_text() -> None:
    """Where nothing is said there is no delta, but a whole, and an end."""
    silence = Transcription("", "transcribe", None, None, 2.5)
    response = post(FakeService(silence), OPENAI, FILE, WHISPER, STREAM)
    (done,) = events(response.text)
    assert (done["type"], done["text"]) == ("transcript.text.done", "")
    assert response.text.endswith(f"{DONE}\n\n")


def test_logprobs_are_streamed_where_include_asks() -> None:
    """Deltas and the whole have the log probabilities of their tokens, only if asked."""
    answer = replace(HELLO, logprobs=(TokenLogprob(b" Hello", -0.5), TokenLogprob(b"\xc3", -math.inf)))
    for event in events(post(FakeService(answer), OPENAI, FILE, WHISPER, STREAM).text):
        assert "logprobs" not in event
    for event in events(post(FakeService(answer), OPENAI, FILE, WHISPER, STREAM, ("include[]", "logprobs")).text):
        assert event["logprobs"] == [
            {"token": " Hello", "logprob": -0.5, "bytes": [32, 72, 101, 108, 108, 111]},
            {"token": "\ufffd", "logprob": None, "bytes": [0xC3]},
        ]


@pytest.mark.parametrize(
    ("path", "parts"),
    [(OPENAI, [WHISPER, STREAM]), (OURS, [STREAM]), (OURS, [("stream", "sse")])],
    ids=["OpenAI", "ndjson", "sse"],
)
@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (InvalidAudio("not audio", code="no_audio", param="file"), 400, "client_error"),
        (Overloaded("full", retry_after=2), 503, "shed"),
        (EngineFailure("broke"), 500, "engine_error"),
        (ZeroDivisionError("secret"), 500, "internal_error"),
    ],
)
def test_an_error_before_anything_was_told_is_a_plain_answer(
    error: Exception, status: int, outcome: str, path: str, parts: Sequence[Part]
) -> None:
    """As long as nothing was sent, a stream is refused as everything else is: with a status and the envelope."""
    service = FakeService(error=error)
    response = post(service, path, FILE, *parts)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    assert list(response.json()["error"]) == ["message", "type", "param", "code"]
    assert "secret" not in response.text
    assert counted(service, outcome, "transcribe" if path == OURS else "transcriptions") == 1
    assert_released(service)


LATE = [
    (InvalidAudio("broken at its end", param="file"), "corrupt_audio", "client_error"),
    (DeadlineExceeded("late"), "deadline_exceeded", "deadline"),
    (EngineFailure("broke"), "engine_error", "engine_error"),
    (ZeroDivisionError("secret"), "internal_error", "internal_error"),
]


@pytest.mark.parametrize(("error", "code", "outcome"), LATE)
def test_an_error_after_a_delta_is_the_last_frame(
    error: Exception, code: str, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that fails ends with a frame of the envelope, without `done` and `[DONE]`; the cause stays here."""
    caplog.set_level(logging.INFO)
    service = FakeService(error=error, parts_before_error=True)
    response = post(service, OPENAI, FILE, WHISPER, STREAM)
    *deltas, last = events(response.text)
    assert response.status_code == 200
    assert [delta["type"] for delta in deltas] == ["transcript.text.delta"] * 2
    assert list(last) == ["error"]
    assert list(last["error"]) == ["message", "type", "param", "code"]
    assert last["error"]["code"] == code
    assert not {DONE, "secret"} & set(response.text.split())
    assert counted(service, outcome) == 1
    assert_released(service)
    (record,) = (record for record in caplog.records if record.getMessage() == "request")
    assert (vars(record)["outcome"], vars(record)["status"]) == (outcome, 200)


@pytest.mark.parametrize(("error", "code", "outcome"), LATE)
@pytest.mark.parametrize("form", ["ndjson", "sse"])
def test_an_error_after_a_segment_is_the_last_event(error: Exception, code: str, outcome: str, form: str) -> None:
    """Our streams tell a failure as an event of its own."""
    service = FakeService(error=error, parts_before_error=True)
    response = post(service, OURS, FILE, ("stream", form))
    *told, last = lines(response.text) if form == "ndjson" else events(response.text)
    assert {event["type"] for event in told} == {"segment", "progress"}
    assert (last["type"], last["file"], last["error"]["code"]) == ("error", 0, code)
    assert DONE not in response.text
    assert counted(service, outcome, "transcribe") == 1


# Our streams


@pytest.mark.parametrize("form", ["true", "ndjson", "sse"])
def test_our_stream_has_segments_progress_and_the_end(form: str) -> None:
    """Each segment as it is done, how far the file is, and at last all but the segments."""
    response = post(FakeService(), OURS, FILE, ("stream", form))
    if form == "sse":
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.text.endswith(f"{DONE}\n\n")
        told = events(response.text)
    else:
        assert response.headers["content-type"] == "application/x-ndjson"
        told = lines(response.text)
    assert [event["type"] for event in told] == ["segment", "progress", "segment", "progress", "done"]
    assert {event["file"] for event in told} == {0}
    assert [event["segment"]["text"] for event in told if event["type"] == "segment"] == [" Hello there.", " Bye."]
    assert "words" not in told[0]["segment"]
    assert told[3] == {"type": "progress", "file": 0, "seconds": 2.5, "duration": 2.5}
    result = told[-1]["result"]
    assert result.pop("timing")["inference"] == 0.25
    assert result == {
        "text": "Hello there. Bye.",
        "language": "en",
        "language_probability": 0.98,
        "language_probabilities": {},
        "duration": 2.5,
        "task": "transcribe",
        "model": "owner/tiny",
    }


@pytest.mark.parametrize("asked", [("word_timestamps", "true"), ("timestamp_granularities[]", "word")])
def test_streamed_segments_have_their_words_where_asked(asked: Part) -> None:
    """Words need no `verbose_json` in a stream: it has segments anyway."""
    service = FakeService()
    first, *_ = lines(post(service, OURS, FILE, STREAM, asked).text)
    assert first["segment"]["words"] == [{"word": " Hello", "start": 0.0, "end": 0.7, "probability": 0.9}]
    assert service.heard[0][1].timestamps


def test_several_files_are_streamed_side_by_side() -> None:
    """Events of all files come as they happen, each with its file's number; a bad file ends alone."""
    service = FilesService({b"two": InvalidAudio("bad", param="file")}, held=[b"one"])

    async def run() -> list[Json]:
        told = []
        async for event in streamed(service, "one", "two", "three"):
            told.append(event)
            if event["type"] == "done":
                service.release(b"one")
        return told

    told = asyncio.run(run())
    ends = [(event["type"], event["file"]) for event in told if event["type"] in ("done", "error")]
    assert ends == [("error", 1), ("done", 2), ("done", 0)]
    for number, text in enumerate(["one", "two", "three"]):
        own = [event for event in told if event["file"] == number]
        assert [event["type"] for event in own[:2]] == ["segment", "progress"]
        assert own[0]["segment"]["text"] == text
        assert len(own) == 3
    assert next(event for event in told if event["type"] == "error")["error"]["code"] == "corrupt_audio"
    assert counted(service, "ok", "transcribe") == 1
    assert_released(service)


def test_several_bad_files_are_a_stream_all_the_same() -> None:
    """With several files the answer is a stream even if none of them is audio."""
    bad = InvalidAudio("bad", param="file")
    service = FilesService({b"one": bad, b"two": bad})
    response = post(service, OURS, ("file", b"one"), ("file", b"two"), ("stream", "sse"))
    assert response.status_code == 200
    assert [event["file"] for event in events(response.text) if event["type"] == "error"] == [0, 1]
    assert response.text.endswith(f"{DONE}\n\n")


async def streamed(service: FakeService, *files: str) -> AsyncIterator[Json]:
    """The events of our stream of files, as they come over a socket."""
    body, headers = multipart(STREAM, *(("file", file.encode()) for file in files))
    async with connected(service) as client, client.stream("POST", OURS, content=body, headers=headers) as response:
        async for line in response.aiter_lines():
            yield json.loads(line)


# While it runs


@pytest.mark.parametrize(
    ("path", "parts", "first"),
    [
        (OPENAI, [WHISPER, STREAM], '"delta":"Hello there."'),
        (OURS, [STREAM], '"type":"segment"'),
        (OURS, [("stream", "sse")], '"type":"segment"'),
    ],
)
def test_what_is_done_arrives_while_the_rest_is_made(path: str, parts: Sequence[Part], first: str) -> None:
    """Over a socket the first part is read before the work has ended, and its place is held until it has."""
    service = FakeService(gated=True)
    body, headers = multipart(FILE, *parts)

    async def run() -> str:
        async with (
            connected(service) as client,
            client.stream("POST", path, content=body, headers=headers) as response,
        ):
            rest = response.aiter_lines()
            assert first in await anext(rest)
            assert (service.places, service.files[0].closed) == (1, False)
            assert service.count("asr_requests_in_flight") == 1
            service.proceed()
            text = "\n".join([line async for line in rest])
            await until(lambda: not service.places)
            return text

    assert "done" in asyncio.run(run())
    assert_released(service)


@pytest.mark.parametrize(
    ("path", "parts", "endpoint"),
    [
        (OPENAI, [WHISPER, STREAM], "transcriptions"),
        (OURS, [STREAM], "transcribe"),
        (OURS, [STREAM, FILE], "transcribe"),
    ],
    ids=["OpenAI", "ours", "several files"],
)
def test_a_client_that_leaves_within_a_stream_ends_the_work(path: str, parts: Sequence[Part], endpoint: str) -> None:
    """When the reader of a stream goes away, its work is cancelled, its files closed and its place given back."""
    service = FakeService(gated=True)
    body, headers = multipart(FILE, *parts)

    async def run() -> None:
        async with connected(service) as client:
            async with client.stream("POST", path, content=body, headers=headers) as response:
                await anext(response.aiter_lines())
            await until(lambda: counted(service, "cancelled", endpoint))

    asyncio.run(run())
    assert service.cancelled
    assert_released(service)


@pytest.mark.parametrize(
    "service", [FakeService(gated=True), FakeService(gated=True, answer=replace(HELLO, segments=()))]
)
def test_a_server_that_stops_ends_its_streams(service: FakeService) -> None:
    """Cancellation from outside, before the stream has begun or after it, frees all that it held."""

    async def run() -> None:
        asking = asyncio.create_task(driven(service, OPENAI, [FILE, WHISPER, STREAM], never))
        await service.entered.wait()
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    run_virtually(run())
    assert (service.cancelled, counted(service, "cancelled")) == (True, 1)
    assert_released(service)


async def never() -> None:
    await asyncio.Event().wait()


async def driven(
    service: FakeService, path: str, parts: Sequence[Part], leave: Callable[[], Awaitable[None]]
) -> list[bytes]:
    """Drive the app by hand, on whatever clock there is; what it sent until the client left, or it had answered."""
    body, headers = multipart(*parts)
    left = iter([{"type": "http.request", "body": body, "more_body": False}])
    sent: list[bytes] = []

    async def receive() -> Message:
        for message in left:
            return message
        await leave()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": raw}
    await create_http_app(service)(scope, receive, send)
    return sent


async def three_silences() -> None:
    """Until the virtual clock, which began at 0, is so far."""
    await asyncio.sleep(3.5 * KEEP_ALIVE - asyncio.get_running_loop().time())


def test_silence_is_filled_with_comments() -> None:
    """A stream that has nothing to tell says every 15 s that it is there, in a way that clients skip."""
    service = FakeService(gated=True)
    sent = run_virtually(driven(service, OPENAI, [FILE, WHISPER, STREAM], three_silences))
    assert sent[2:] == [b": keep-alive\n\n"] * 3
    assert service.cancelled
    assert_released(service)


def test_a_stream_without_a_first_word_begins_all_the_same() -> None:
    """Work that is silent from its beginning on, as in a queue, has its answer's head after 15 s."""
    silence = replace(HELLO, segments=())
    service = FakeService(silence, gated=True)
    sent = run_virtually(driven(service, OPENAI, [FILE, WHISPER, STREAM], three_silences))
    assert sent == [b": keep-alive\n\n"] * 2


@pytest.mark.parametrize("error", [Overloaded("full"), ZeroDivisionError("bug")])
def test_an_error_after_a_silent_beginning_is_a_frame(error: Exception) -> None:
    """Once the head was sent, an error is told in the stream, as the status cannot say it any more."""
    service = FakeService(error=error, gated=True)

    async def run() -> list[bytes]:
        asking = asyncio.create_task(driven(service, OPENAI, [FILE, WHISPER, STREAM], never))
        await asyncio.sleep(KEEP_ALIVE + 1)
        service.proceed()
        return await asking

    (frame, end) = run_virtually(run())
    assert (list(events(frame.decode())[0]), end) == (["error"], b"")


@pytest.mark.parametrize(("form", "filler"), [("sse", b": keep-alive\n\n"), ("ndjson", None)])
def test_our_streams_are_kept_alive_too(form: str, filler: bytes | None) -> None:
    """Lines of JSON know no comments: they repeat how far the file is."""
    service = FakeService(gated=True)
    told = run_virtually(driven(service, OURS, [FILE, ("stream", form)], three_silences))
    assert told[4:] == [filler or told[3]] * 3
    assert filler or json.loads(told[3])["type"] == "progress"


# Clients that come back


def retrying(*parts: Part, count: int) -> dict[str, Any]:
    """A request as OpenAI's clients send it."""
    body, headers = multipart(*parts)
    return {"content": body, "headers": {**headers, "x-stainless-retry-count": str(count)}}


async def leave_then_return(service: FakeService, path: str, first: Sequence[Part], again: Sequence[Part]) -> Any:
    """The answer to a retry, after the first request was left as soon as its work had begun."""
    async with connected(service) as client:
        asking = asyncio.create_task(client.post(path, **retrying(*first, count=0)))
        await service.entered.wait()
        asking.cancel()
        await until(lambda: counted(service, "cancelled", "transcribe" if path == OURS else "transcriptions"))
        assert service.places == 0
        returned = asyncio.create_task(client.post(path, **retrying(*again, count=1)))
        await until(lambda: service.count("asr_requests_joined_total") or len(service.heard) > 1)
        service.proceed()
        return await returned


@pytest.mark.parametrize(
    ("path", "parts", "endpoint"),
    [(OPENAI, [FILE, WHISPER], "transcriptions"), (OURS, [FILE], "transcribe")],
)
def test_a_retry_gets_the_work_that_its_first_try_began(path: str, parts: Sequence[Part], endpoint: str) -> None:
    """A client that gave up and asks again costs the engine nothing: its work went on, and is its answer."""
    service = FakeService(gated=True)
    response = asyncio.run(leave_then_return(service, path, parts, parts))
    assert (response.status_code, response.json()["text"]) == (200, "Hello there. Bye.")
    assert (len(service.heard), service.cancelled, service.count("asr_requests_joined_total")) == (1, False, 1)
    assert (counted(service, "cancelled", endpoint), counted(service, "ok", endpoint)) == (1, 1)
    assert response.headers["x-audio-duration-seconds"] == "2.500"
    assert_released(service)


def test_a_retry_of_a_stream_hears_it_from_its_beginning() -> None:
    """Deltas that were told before it came are told again: it has no other way to have them."""
    service = FakeService(gated=True)
    parts = [FILE, WHISPER, STREAM]
    response = asyncio.run(leave_then_return(service, OPENAI, parts, parts))
    *deltas, done = events(response.text)
    assert "".join(delta["delta"] for delta in deltas) == done["text"] == "Hello there. Bye."
    assert len(service.heard) == 1


def test_a_retry_may_want_another_format() -> None:
    """What is asked of the engine counts, not how the answer is written."""
    service = FakeService(gated=True)
    text = ("response_format", "text")
    response = asyncio.run(leave_then_return(service, OPENAI, [FILE, WHISPER, STREAM], [FILE, WHISPER, text]))
    assert (response.text, len(service.heard)) == ("Hello there. Bye.", 1)


@pytest.mark.parametrize(
    "again",
    [
        [("file", b"another"), WHISPER],
        [FILE, WHISPER, ("language", "en")],
        [FILE, WHISPER, ("response_format", "srt")],
        [FILE, WHISPER, ("include[]", "logprobs")],
    ],
    ids=["another file", "another language", "with times", "with logprobs"],
)
def test_what_asks_for_something_else_is_no_retry(again: Sequence[Part]) -> None:
    """Other bytes or options are other work, whatever the header says."""
    service = FakeService(gated=True)
    response = asyncio.run(leave_then_return(service, OPENAI, [FILE, WHISPER], again))
    assert response.status_code == 200
    assert (len(service.heard), service.count("asr_requests_joined_total")) == (2, 0)


@pytest.mark.parametrize("count", ["-1", "1.5", "x", "1" * 9, "", "²", "0"])
def test_strange_counts_are_no_retries(count: str) -> None:
    """A retry is a small whole number; anything else joins nothing and breaks nothing."""
    service = FakeService()
    body, headers = multipart(FILE, WHISPER)
    headers = {**headers, "x-stainless-retry-count": count}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert client_of(service).post(OPENAI, content=body, headers=raw).status_code == 200
    assert service.count("asr_requests_joined_total") == 0


def test_an_idempotency_key_stands_for_its_request() -> None:
    """While the first is under way, its key has its answer too; for another body the key is refused."""
    service = FakeService(gated=True)

    async def run() -> list[httpx2.Response]:
        async with connected(service) as client:
            asked = [asyncio.create_task(client.post(OPENAI, **keyed(FILE))) for _ in range(2)]
            await until(lambda: service.count("asr_requests_joined_total"))
            other = await client.post(OPENAI, **keyed(("file", b"another")))
            service.proceed()
            return [other, *await asyncio.gather(*asked)]

    other, *same = asyncio.run(run())
    assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_key_reused")
    assert [response.json()["text"] for response in same] == ["Hello there. Bye."] * 2
    assert len(service.heard) == 1


def keyed(file: Part) -> dict[str, Any]:
    body, headers = multipart(file, WHISPER)
    return {"content": body, "headers": {**headers, "idempotency-key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}}


def test_a_retry_of_several_files_joins_each_of_them() -> None:
    """Files are found again one by one."""
    service = FakeService(gated=True)
    files = [("file", b"one"), ("file", b"two")]

    async def run() -> httpx2.Response:
        async with connected(service) as client:
            asking = asyncio.create_task(client.post(OURS, **retrying(*files, count=0)))
            await until(lambda: len(service.heard) == 2)
            asking.cancel()
            again = asyncio.create_task(client.post(OURS, **retrying(*reversed(files), count=1)))
            await until(lambda: service.count("asr_requests_joined_total") == 2)
            service.proceed()
            return await again

    response = asyncio.run(run())
    assert [result["text"] for result in response.json()["results"]] == ["Hello there. Bye."] * 2
    assert len(service.heard) == 2


def test_openai_client_times_out_retries_and_has_its_answer() -> None:
    """OpenAI's own client, whose patience is shorter than the work, is answered by one run of it."""
    service = FakeService(gated=True)

    async def run() -> str:
        async with (
            serving(service) as port,
            openai.AsyncOpenAI(
                api_key="none", base_url=f"http://127.0.0.1:{port}/v1", timeout=0.5, max_retries=9
            ) as client,
        ):
            asking = asyncio.create_task(
                client.audio.transcriptions.create(file=("speech.wav", AUDIO), model="whisper-1")
            )
            await until(lambda: service.count("asr_requests_joined_total"))
            service.proceed()
            return (await asking).text

    assert asyncio.run(run()) == "Hello there. Bye."
    assert len(service.heard) == 1


def test_openai_client_reads_the_stream() -> None:
    """OpenAI's own client knows every event, and raises what a stream ends with."""

    async def run(service: FakeService) -> list[str]:
        async with (
            serving(service) as port,
            openai.AsyncOpenAI(api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0) as client,
        ):
            stream = await client.audio.transcriptions.create(
                file=("speech.wav", AUDIO), model="whisper-1", stream=True, include=["logprobs"]
            )
            return [event.type async for event in stream]

    deltas = ["transcript.text.delta"] * 2
    assert asyncio.run(run(FakeService())) == [*deltas, "transcript.text.done"]
    failing: AsrError = EngineFailure("the engine failed on this audio")
    with pytest.raises(openai.APIError, match="the engine failed on this audio") as caught:
        asyncio.run(run(FakeService(error=failing, parts_before_error=True)))
    assert caught.value.code == "engine_error"
