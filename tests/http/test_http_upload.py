"""The upload itself: how large, how slow, how broken and how full it may be, and what is left of it after."""

import asyncio
import os
import subprocess
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from pydantic_core import from_json
from starlette.types import Message

from asr_api.audio.decoding import AudioLimits, decode_audio
from asr_api.errors import InvalidAudio
from asr_api.http import create_http_app
from asr_api.http.upload import MAX_EPILOGUE_BYTES, MAX_FIELD_BYTES, MAX_FIELDS, MAX_FILES
from asr_api.trace import Trace
from asr_api.transcription import Transcription, TranscriptionOptions

from ..clocks import run_virtually
from .fakes import AUDIO, FakeService, client_of, multipart
from .serving import serving

OURS = "/transcribe"
BODY, HEADERS = multipart(("file", AUDIO))
BIG = b"\0" * (3 << 20)
LARGE, _ = multipart(("file", BIG))
Steps = Iterable[Callable[[], Awaitable[Message]]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the app sent, and how many messages of the body it had taken by then."""

    status: int
    headers: Mapping[str, str]
    error: Mapping[str, Any]
    taken: int

    @property
    def facts(self) -> list[Any]:
        return [self.status, self.error["code"], self.error["param"]]


async def ask(service: FakeService, steps: Steps, headers: Mapping[str, str] = HEADERS) -> Answer | None:
    """Drive the app by hand: `steps` are what it receives. None where it answered nothing."""
    sent: list[Message] = []
    left, taken = iter(steps), 0

    async def receive() -> Message:
        nonlocal taken
        step = next(left, never)
        taken += 1
        return await step()

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": OURS, "query_string": b"", "headers": raw}
    await create_http_app(service)(scope, receive, send)
    if not sent:
        return None
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], told, from_json(sent[1]["body"]).get("error", {}), taken)


def piece(data: bytes, *, more: bool = True, after: float = 0.0) -> Callable[[], Awaitable[Message]]:
    """A step that is a piece of the body, and comes `after` so many seconds on the loop's clock."""

    async def step() -> Message:
        await asyncio.sleep(after)
        return {"type": "http.request", "body": data, "more_body": more}

    return step


async def gone() -> Message:
    return {"type": "http.disconnect"}


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def endless(data: bytes, *, after: float = 0.0) -> Iterator[Callable[[], Awaitable[Message]]]:
    while True:
        yield piece(data, after=after)


def opened() -> bytes:
    """A body up to where the bytes of its file begin."""
    return BODY[: BODY.index(AUDIO)]


def assert_released(service: FakeService) -> None:
    """No place, no byte and no file is held any more; the metrics say so too."""
    assert (service.places, service.spool.used, service.spool.files) == (0, 0, 0)
    assert service.count("asr_spool_used_bytes") == service.count("asr_spool_files") == 0
    assert service.count("asr_requests_in_flight") == 0


def assert_counted(service: FakeService, outcome: str) -> None:
    assert service.count("asr_requests_total", endpoint="transcribe", outcome=outcome) == 1


def answered(answer: Answer | None) -> Answer:
    assert answer is not None
    return answer


def head(*lines: str) -> bytes:
    fields = ["POST /transcribe HTTP/1.1", "Host: server", f"Content-Type: {HEADERS['content-type']}", *lines]
    return "\r\n".join([*fields, "", ""]).encode()


# Slow bodies


def test_t3_a_trickling_body_ends_after_the_grace() -> None:
    """T3: a byte a second is 408 after 5 s, names the rate and the setting, and closes the connection."""
    service = FakeService()

    async def run() -> tuple[Answer | None, float]:
        answer = await ask(service, [piece(opened()), *[piece(b"x", after=1)] * 99])
        return answer, asyncio.get_running_loop().time()

    given, seconds = run_virtually(run())
    answer = answered(given)
    assert answer.facts == [408, "upload_timeout", None]
    assert answer.error["message"] == "after 5 s the body came slower than 10000 bytes a second (min_upload_rate)"
    assert answer.headers["connection"] == "close"
    assert 5 <= seconds < 5.1
    assert service.heard == []
    assert_released(service)
    assert_counted(service, "client_error")


def test_t3_a_body_has_its_time_and_no_more() -> None:
    """T3: one that is fast enough and never ends is 408 at `upload_timeout`, with the number and the name."""
    service = FakeService(upload_timeout=60)

    async def run() -> tuple[Answer | None, float]:
        answer = await ask(service, [piece(opened()), *endless_for(100)])
        return answer, asyncio.get_running_loop().time()

    given, seconds = run_virtually(run())
    answer = answered(given)
    assert (answer.facts, seconds) == ([408, "upload_timeout", None], 60)
    assert answer.error["message"] == "the body took longer than 60 s (upload_timeout)"
    assert_released(service)


def endless_for(seconds: int) -> list[Callable[[], Awaitable[Message]]]:
    return [piece(b"\0" * 10_000, after=1)] * seconds


def test_t3_a_silent_body_ends_without_a_least_rate() -> None:
    """T3: where the operator wants no least rate, a body that stops is still over at `upload_timeout`."""
    service = FakeService(min_upload_rate=0)

    async def run() -> tuple[Answer | None, float]:
        answer = await ask(service, [piece(opened()), piece(b"x", after=1e9)])
        return answer, asyncio.get_running_loop().time()

    given, seconds = run_virtually(run())
    assert (answered(given).facts, seconds) == ([408, "upload_timeout", None], 300)
    assert_released(service)


def test_t3_a_slow_body_that_keeps_its_rate_is_served() -> None:
    """T3: a client on a slow line, with a pause within its grace, is not refused."""
    service = FakeService(error=InvalidAudio("heard"))
    end = BODY[BODY.index(AUDIO) + len(AUDIO) :]
    steps = [piece(opened()), piece(b"\0" * 10_000, after=4.9), *endless_for(50), piece(end, more=False)]
    answer = answered(run_virtually(ask(service, steps)))
    assert (answer.error["message"], len(service.heard[0][0])) == ("heard", 510_000)


@pytest.mark.parametrize(("after", "status"), [(0.9, 503), (1.1, 400)])
def test_t3_a_slow_body_takes_nobody_s_place(after: float, status: int) -> None:
    """T3: what is slower than the least rate for over a second leaves its place to others, and has its answer yet."""
    service = FakeService(max_concurrent_requests=1, error=InvalidAudio("heard"))

    async def run() -> list[Answer]:
        slow = asyncio.create_task(ask(service, [piece(BODY[:-9]), piece(BODY[-9:], more=False, after=4)]))
        await asyncio.sleep(after)
        fast = await ask(service, [piece(BODY, more=False)])
        return [answered(await slow), answered(fast)]

    slow, fast = run_virtually(run())
    assert (slow.error["message"], fast.status) == ("heard", status)
    assert_released(service)


def test_t3_the_oldest_of_too_many_slow_bodies_ends() -> None:
    """T3: above four times as many requests as may run, it is 408 before its time, and told why."""
    service = FakeService(max_concurrent_requests=1)

    async def run() -> tuple[list[Answer], float]:
        slow = []
        for _ in range(5):
            slow.append(asyncio.create_task(ask(service, [piece(opened()), *[piece(b"x", after=1)] * 99])))
            await asyncio.sleep(1.1)
        first = answered(await slow[0])
        return [first, *[answered(await one) for one in slow[1:]]], asyncio.get_running_loop().time()

    answers, seconds = run_virtually(run())
    assert {tuple(answer.facts) for answer in answers} == {(408, "upload_timeout", None)}
    message = "the body came slower than 10000 bytes a second (min_upload_rate) while all places were taken"
    assert [answer.error["message"] == message for answer in answers] == [True] + [False] * 4
    assert seconds < 5 * 1.1 + 5
    assert_released(service)


def test_where_there_is_no_room_nothing_of_a_request_is_looked_at() -> None:
    """What a request is made of costs nothing where it is refused anyway."""
    service = FakeService(gated=True, max_concurrent_requests=1)

    async def run() -> Answer | None:
        first = asyncio.create_task(ask(service, [piece(BODY, more=False)]))
        await service.entered.wait()
        refused = await ask(service, [], {"content-type": "text/plain"})
        service.proceed()
        assert answered(await first).status == 200
        return refused

    refused = answered(asyncio.run(run()))
    assert (refused.facts, refused.taken) == ([503, "queue_full", None], 0)
    assert refused.headers["retry-after"]
    assert_released(service)


def test_t3_a_stalled_body_on_disk_is_freed() -> None:
    """T3: what a stalled upload had on disk is back with its answer."""
    service = FakeService(upload_timeout=0.2)
    answer = answered(asyncio.run(ask(service, [piece(LARGE[:-10]), never])))
    assert answer.facts == [408, "upload_timeout", None]
    assert_released(service)


def test_t3_a_trickle_over_a_socket_is_closed() -> None:
    """T3: the client reads its 408 and then the end of the connection."""
    service = FakeService(upload_timeout=0.2)

    async def run() -> bytes:
        async with serving(service) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head(f"Content-Length: {len(BODY)}") + BODY[:-1])
            answer = await reader.read()
            writer.close()
            return answer

    answer = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"(upload_timeout)" in answer
    assert_released(service)


# Large bodies


def test_t5_a_declared_10_gb_is_refused_unread() -> None:
    """T5: only the head is needed: 413, no 100 Continue, and the connection ends."""
    service = FakeService()

    async def run() -> bytes:
        async with serving(service) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head("Content-Length: 10000000000", "Expect: 100-continue"))
            answer = await reader.read()
            writer.close()
            return answer

    answer = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer
    assert b'"code":"upload_too_large"' in answer
    assert f"larger than {1 << 24} bytes (max_upload_bytes)".encode() in answer
    assert_released(service)
    assert_counted(service, "client_error")


def test_t6_a_body_without_a_length_stops_at_the_limit() -> None:
    """T6: endless chunks are read up to the limit and two chunks more; nothing is left on disk."""
    service = FakeService(max_upload_bytes=5_000_000)
    steps = (step for part in ([piece(opened())], endless(b"\0" * 65_536)) for step in part)
    answer = answered(asyncio.run(ask(service, steps)))
    assert answer.facts == [413, "upload_too_large", None]
    assert answer.error["message"] == "the request body is larger than 5000000 bytes (max_upload_bytes)"
    assert answer.taken == 1 + 5_000_000 // 65_536 + 2
    assert_released(service)
    assert_counted(service, "client_error")


def test_t6_chunks_over_a_socket_stop_at_the_limit() -> None:
    """T6: the answer comes while the client still sends, and the connection ends."""
    service = FakeService(max_upload_bytes=2_000_000)
    chunk = b"10000\r\n" + b"\0" * 65_536 + b"\r\n"

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(head("Transfer-Encoding: chunked"))
        writer.write(f"{len(opened()):x}\r\n".encode() + opened() + b"\r\n")
        while True:
            writer.write(chunk)
            await writer.drain()

    async def run() -> bytes:
        async with serving(service) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            sending = asyncio.create_task(send(writer))
            answer = await reader.readuntil(b"}}")
            await asyncio.wait([sending])
            assert isinstance(sending.exception(), ConnectionError)
            return answer

    assert b"2000000 bytes (max_upload_bytes)" in asyncio.run(run())
    assert_released(service)


def test_t7_one_byte_chunks_cost_no_memory() -> None:
    """T7: a body of single bytes is one file, and needs no more memory than one in large pieces."""
    service = FakeService()
    content = bytes(range(256)) * 25
    steps = [
        piece(opened()),
        *(piece(content[n : n + 1]) for n in range(len(content))),
        piece(b"\r\n--edge--", more=False),
    ]
    tracemalloc.start()
    try:
        asyncio.run(ask(service, steps))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert service.heard[0][0] == content
    assert peak < 1 << 20
    assert_released(service)


# Broken bodies

PART = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
FLOOD, SMALLER = 6 << 20, 2 << 20
"""Bytes."""
LEAST = 0.05
"""Seconds of CPU below which nothing is measured."""


@pytest.mark.parametrize(
    ("flood", "says"),
    [
        (lambda size: b"preamble " * (size // 9) + BODY, "Expected boundary"),
        (lambda size: b"\r\n" * (size // 2), "last boundary"),
        (lambda size: b"\r" * size + BODY[:-8], "last boundary"),
        (lambda size: b"\r\nX" * (size // 3), "Expected boundary"),
        (lambda size: opened() + b"\r\n--edg" * (size // 7), "last boundary"),
        (lambda size: opened() + b"\r\n--edgeX" * (size // 9), "last boundary"),
        (lambda size: opened() + b"\r\n--edge-" * (size // 9), "last boundary"),
        (lambda size: opened() + b"\r" * size, "last boundary"),
        (lambda size: opened() + b"\n" * size, "last boundary"),
    ],
    ids=["preamble", "newlines", "returns", "lines", "almost", "longer", "dashes", "data of CR", "data of LF"],
)
def test_t11_floods_are_cheap(flood: Callable[[int], bytes], says: str) -> None:
    """T11: megabytes made to keep a parser busy are 400, and cost as much CPU a byte however many they are."""
    smaller = min(seconds for seconds, _ in (flooded(flood(SMALLER)) for _ in range(2)))
    taken = [flooded(flood(FLOOD)) for _ in range(2)]
    assert min(seconds for seconds, _ in taken) <= 2 * FLOOD / SMALLER * max(smaller, LEAST)
    for _, answer in taken:
        assert answer.facts == [400, "invalid_multipart", None]
        assert says in answer.error["message"]


def flooded(body: bytes) -> tuple[float, Answer]:
    """Seconds of CPU, and the answer; nothing is left of it."""
    service = FakeService(max_upload_bytes=1 << 30)
    steps = [piece(body[start : start + 65_536]) for start in range(0, len(body), 65_536)]
    before = time.process_time()
    answer = answered(asyncio.run(ask(service, [*steps, piece(b"", more=False)])))
    seconds = time.process_time() - before
    assert_released(service)
    assert_counted(service, "client_error")
    return seconds, answer


def test_t11_an_epilogue_is_ignored_but_not_for_ever() -> None:
    """T11: what follows the last boundary is skipped up to a limit, which the refusal names."""
    service = FakeService()
    short = [piece(BODY), piece(b"\0" * MAX_EPILOGUE_BYTES, more=False)]
    assert answered(asyncio.run(ask(service, short))).status == 200
    answer = answered(asyncio.run(ask(service, [piece(BODY), *[piece(b"\0" * 65_536)] * 160])))
    assert (answer.facts, answer.taken) == ([400, "invalid_multipart", None], 3)
    assert f"more than {MAX_EPILOGUE_BYTES} bytes" in answer.error["message"]
    assert_released(service)


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (BODY, "multipart/form-data", "names no boundary"),
        (BODY, "multipart/form-data; boundary=", "names no boundary"),
        (BODY, "multipart/form-data; boundary=" + "b" * 300, "300 exceeds maximum of 256"),
        (BODY.replace(b"--edge", b"--other"), HEADERS["content-type"], "boundary"),
        (PART + b"\r\nx\r\n--edge\r\n<nested>", HEADERS["content-type"], "in header"),
        (BODY[:-4], HEADERS["content-type"], "last boundary"),
        (b"", HEADERS["content-type"], "last boundary"),
        (PART + b"A: b\r\n" * 9 + b"\r\nx\r\n--edge--", HEADERS["content-type"], "header count"),
        (PART + b"A: " + b"b" * 5000 + b"\r\n\r\nx\r\n--edge--", HEADERS["content-type"], "header size"),
        (PART + "Ä: b\r\n\r\nx\r\n--edge--".encode(), HEADERS["content-type"], "invalid character"),
        (b"--edge\r\nA: b\r\n\r\nx\r\n--edge--", HEADERS["content-type"], "no name"),
        (b"--edge\r\n\r\nx\r\n--edge--", HEADERS["content-type"], "no name"),
    ],
    ids=[
        "no boundary", "empty boundary", "long boundary", "other boundary", "nested", "cut", "empty",
        "many headers", "long header", "8-bit header", "no disposition", "no headers",
    ],
)  # fmt: skip
def test_t11_bodies_that_are_no_multipart_are_told_why(body: bytes, content_type: str, says: str) -> None:
    """T11: each way to be broken is 400 `invalid_multipart` with its reason."""
    service = FakeService()
    response = client_of(service).post(OURS, content=body, headers={"content-type": content_type})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "invalid_multipart")
    assert says in error["message"]
    assert_released(service)


def test_a_body_may_be_cut_anywhere() -> None:
    """The form does not depend on how the network cuts the body."""
    content = b"\r\n--edg\r\n--edgy--\r\n\r"
    body, _ = multipart(("prompt", "naïve"), ("file", content), ("language", "en"))
    for size in (*range(1, 50), 100, 200):
        service = FakeService()
        pieces = [piece(body[start : start + size]) for start in range(0, len(body), size)]
        assert answered(asyncio.run(ask(service, [*pieces, piece(b"", more=False)]))).status == 200
        heard, options = service.heard[0]
        assert (heard, options.prompt, options.language) == (content, "naïve", "en")


# Parts and fields


@pytest.mark.parametrize(
    ("parts", "code", "param", "says"),
    [
        ([("file", AUDIO), *[("x", "y")] * 1001], "too_many_parts", None, f"more than {MAX_FIELDS} fields"),
        ([("file", AUDIO)] * 1000, "multiple_files", "file", f"at most {MAX_FILES} files"),
        ([("file", AUDIO)] * (MAX_FILES + 1), "multiple_files", "file", f"at most {MAX_FILES} files"),
        ([("file", AUDIO), ("other", AUDIO)], "unknown_parameter", "other", "not a field"),
        ([("language", "en")], "missing_file", "file", "missing"),
        ([], "invalid_multipart", None, ""),
    ],
    ids=["1001 fields", "1000 files", "33 files", "another file", "no file", "no part"],
)
def test_t12_parts_are_counted(parts: list[tuple[str, str | bytes]], code: str, param: str, says: str) -> None:
    """T12: a bounded number of files and of fields; the refusal says how many."""
    service = FakeService()
    body, headers = multipart(*parts) if parts else (b"--edge\r\n--edge--\r\n", HEADERS)
    answer = answered(asyncio.run(ask(service, [piece(body, more=False)], headers)))
    assert answer.facts == [400, code, param]
    assert says in answer.error["message"]
    assert_released(service)
    assert_counted(service, "client_error")


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
def test_t12_openai_s_endpoints_take_one_file(path: str) -> None:
    """T12: OpenAI's contract has one file; a second one is refused before it is stored."""
    service = FakeService()
    body, headers = multipart(("model", "whisper-1"), ("file", AUDIO), ("file", BIG))
    response = client_of(service).post(path, content=body, headers=headers)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "multiple_files", "file")
    assert "one file" in error["message"]
    assert_released(service)


@pytest.mark.parametrize(
    ("part", "code", "param", "says"),
    [
        (("prompt", "p" * (50 << 20)), "invalid_value", "prompt", f"the {MAX_FIELD_BYTES} bytes"),
        (("model", "m" * (1 << 20)), "invalid_value", "model", f"the {MAX_FIELD_BYTES} bytes"),
        (("n" * 4096, "x" * (1 << 20)), "invalid_value", "n" * 64, f"the {MAX_FIELD_BYTES} bytes"),
        (("prompt", "p" * 4097), "invalid_value", "prompt", "at most 4096"),
        (("language", "l" * 33), "invalid_value", "language", "at most 32"),
    ],
)
def test_t13_fields_are_bounded(part: tuple[str, str], code: str, param: str, says: str) -> None:
    """T13: a field that is too long is told by its name, with its limit, as soon as it passes it."""
    service = FakeService(max_upload_bytes=1 << 30)
    body, _ = multipart(part, ("file", AUDIO))
    steps = [piece(body[start : start + 65_536]) for start in range(0, len(body), 65_536)]
    answer = answered(asyncio.run(ask(service, [*steps, piece(b"", more=False)])))
    assert answer.facts == [400, code, param]
    assert says in answer.error["message"]
    assert answer.taken <= 3
    assert len(answer.error["message"]) < 300
    assert_released(service)


def test_t13_a_thousand_granularities_are_too_many_parts() -> None:
    """T13: an array is bounded by the number of parts."""
    body, headers = multipart(*[("timestamp_granularities[]", "word")] * 1000, ("file", AUDIO))
    response = client_of(FakeService()).post(OURS, content=body, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "too_many_parts")


# Names and types


@pytest.mark.parametrize(
    "filename",
    [
        "речь.wav", "a‮vaw.exe", "a\0b.wav", "a%0D%0Ab.wav", "n" * 4096, "../../etc/passwd", "/etc/passwd", "",
        "x.m3u8", "-f.wav", "$(id)", "C:\\x.wav", 'quo\\"te', "CON", "a;b=c",
    ],
)  # fmt: skip
def test_t15_file_names_are_opaque(filename: str, tmp_path: Path) -> None:
    """T15: whatever a file is called, its bytes are heard, and nothing of that name is ever made."""
    service = FakeService(spool_dir=tmp_path / "spool", gated=True)
    service.spool.open()
    body = LARGE.replace(b'filename="speech.wav"', b'filename="' + filename.encode() + b'"')

    async def run() -> Answer | None:
        asking = asyncio.create_task(ask(service, [piece(body, more=False)]))
        await service.entered.wait()
        assert (service.spool.files, os.listdir(service.spool.directory)) == (1, [])
        service.proceed()
        return await asking

    assert answered(asyncio.run(run())).status == 200
    assert service.heard[0][0] == BIG
    assert not hasattr(service.files[0], "name")
    assert_released(service)


class DecodingService(FakeService):
    """Decodes what it is given."""

    async def transcribe(
        self, upload: BinaryIO, options: TranscriptionOptions, trace: Trace, **listeners: Any
    ) -> Transcription:
        decode_audio(upload, AudioLimits(max_seconds=60))
        return await super().transcribe(upload, options, trace, **listeners)


SAMPLE = Path(__file__).parents[2] / "src" / "asr_api" / "samples" / "jfk.flac"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\1\0\0\0\0"


@pytest.mark.parametrize(
    ("content_type", "filename", "content", "status", "code"),
    [
        ("image/png", "a.png", SAMPLE.read_bytes(), 200, None),
        ("text/html", "x.m3u8", SAMPLE.read_bytes(), 200, None),
        ("audio/wav", "a.wav", PNG, 400, "unsupported_format"),
        ("audio/flac", "a.flac", b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", 400, "unsupported_format"),
    ],
)
def test_t16_content_decides(content_type: str, filename: str, content: bytes, status: int, code: str | None) -> None:
    """T16: neither the type nor the name that a client claims makes a file audio or not."""
    service = DecodingService()
    files = {"file": (filename, content, content_type)}
    response = client_of(service).post(OURS, files=files)
    assert (response.status_code, response.json().get("error", {}).get("code")) == (status, code)
    assert_released(service)


# Clients that go


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["in memory", "on disk"])
def test_t17_a_client_that_leaves_within_the_body_leaves_nothing(body: bytes) -> None:
    """T17: wherever the body is cut, the request is cancelled and place, bytes and file are back."""
    cuts = [*range(0, len(BODY), 7), len(body) // 2, len(body) - 1]
    for cut in cuts:
        service = FakeService()
        assert asyncio.run(ask(service, [piece(body[:cut]), gone])) is None
        assert service.heard == []
        assert_released(service)
        assert_counted(service, "cancelled")


def test_t17_sockets_that_break_leave_nothing() -> None:
    """T17: 200 connections that are reset at any point of the upload, and one good request among them."""
    service = FakeService(max_spool_bytes=1 << 30)

    async def break_off(port: int, cut: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((head(f"Content-Length: {len(LARGE)}") + LARGE)[:cut])
        await writer.drain()
        writer.transport.abort()

    async def run() -> None:
        async with serving(service) as port:
            whole = len(head()) + len(LARGE)
            for wave in range(10):
                await asyncio.gather(*(break_off(port, whole * (20 * wave + n) // 250) for n in range(20)))
            assert await post(port) == b"HTTP/1.1 200"
            while service.places or service.count("asr_requests_in_flight"):
                await asyncio.sleep(0.001)

    asyncio.run(run())
    assert len(service.heard) == 1
    assert_released(service)


async def post(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(f"Content-Length: {len(BODY)}", "Connection: close") + BODY)
    answer = await reader.read()
    writer.close()
    return answer[:12]


def test_t17_a_server_that_stops_within_the_upload_leaves_nothing() -> None:
    """T17: cancellation while the body is received, or written to disk, frees what there was."""
    service = FakeService()

    async def run(pauses: int, files: int) -> None:
        asking = asyncio.create_task(ask(service, [piece(LARGE[: 2 << 20]), piece(LARGE[2 << 20 : -9]), never]))
        while pauses or service.spool.files < files:
            await asyncio.sleep(0)
            pauses = max(0, pauses - 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.get_running_loop().shutdown_default_executor()

    for pauses, files in [*((pauses, 0) for pauses in range(1, 40, 4)), *[(0, 1)] * 5]:
        asyncio.run(run(pauses, files))
        assert_released(service)


# No room


def test_t20_an_upload_over_the_spools_budget_is_refused() -> None:
    """T20: 503 `storage_full` with Retry-After, the number and the setting; small files are still served."""
    service = FakeService(max_spool_bytes=2_000_000)
    answer = answered(asyncio.run(ask(service, [piece(LARGE, more=False)])))
    assert answer.facts == [503, "storage_full", None]
    assert "2000000 may (max_spool_bytes)" in answer.error["message"]
    assert answer.headers["retry-after"] == "10"
    assert service.count("asr_spool_capacity_bytes") == 2_000_000
    assert_counted(service, "shed")
    assert_released(service)
    assert answered(asyncio.run(ask(service, [piece(BODY, more=False)]))).status == 200


def test_t20_uploads_share_the_budget() -> None:
    """T20: while one file waits on disk the next may find no room; after it there is room again."""
    service = FakeService(max_spool_bytes=5_000_000, gated=True)

    async def run() -> None:
        first = asyncio.create_task(ask(service, [piece(LARGE, more=False)]))
        await service.entered.wait()
        assert (service.spool.used, service.spool.files) == (len(BIG), 1)
        assert service.count("asr_spool_used_bytes") == len(BIG)
        refused = answered(await ask(service, [piece(LARGE, more=False)]))
        assert refused.facts == [503, "storage_full", None]
        assert f"{len(BIG)} bytes wait there" in refused.error["message"]
        service.proceed()
        assert answered(await first).status == 200
        assert answered(await ask(service, [piece(LARGE, more=False)])).status == 200

    asyncio.run(run())
    assert_released(service)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for 2 MiB."""
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_t20_a_full_disk_is_told(small_disk: Path) -> None:
    """T20: ENOSPC is 503 `storage_full`; the disk is empty after, and what fits in memory is served."""
    service = FakeService(spool_dir=small_disk)
    answer = answered(asyncio.run(ask(service, [piece(LARGE, more=False)])))
    assert answer.facts == [503, "storage_full", None]
    assert answer.error["message"].endswith("takes no more: no space left on device")
    assert (answer.headers["retry-after"], list(small_disk.iterdir())) == ("10", [])
    assert_released(service)
    small, _ = multipart(("file", b"\0" * 1_000_000))
    assert answered(asyncio.run(ask(service, [piece(small, more=False)]))).status == 200


# Fields that ask for more than they say


@pytest.mark.parametrize("field", ["file", "url", "prompt", "model", "hotwords", "language"])
def test_a10_addresses_in_fields_are_never_opened(field: str) -> None:
    """A10: a URL or a path is text: refused or a prompt, and nobody calls at its address."""
    service = FakeService()
    calls: list[str] = []

    async def called(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(field)
        writer.close()

    async def run() -> list[int]:
        canary = await asyncio.start_server(called, "127.0.0.1", 0)
        port = canary.sockets[0].getsockname()[1]
        statuses = []
        for address in (f"http://127.0.0.1:{port}/latest/meta-data/", "file:///etc/passwd"):
            parts = [(field, address)] if field == "file" else [(field, address), ("file", AUDIO)]
            body, _ = multipart(*parts)
            statuses.append(answered(await ask(service, [piece(body, more=False)])).status)
        canary.close()
        return statuses

    statuses = asyncio.run(run())
    assert (statuses, calls) == (
        {"model": [404, 404], "prompt": [200] * 2, "hotwords": [200] * 2}.get(field, [400] * 2),
        [],
    )
    assert all(heard == AUDIO for heard, _ in service.heard)
    assert_released(service)
