"""Several files in one request of our endpoint."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
import pytest

from asr_api.errors import EngineFailure, InvalidAudio, Overloaded
from asr_api.http import create_http_app
from asr_api.http.upload import MAX_FILES

from .fakes import FakeService, client_of
from .serving import FilesService, connected, until

OURS = "/transcribe"


def post(service: FakeService, *files: tuple[str, bytes], **fields: str) -> httpx2.Response:
    """The answer to files with their names."""
    return client_of(service).post(OURS, files=[("file", file) for file in files], data=fields)


def results(response: httpx2.Response) -> Sequence[Mapping[str, Any]]:
    assert response.status_code == 200
    assert list(response.json()) == ["results"]
    answers: Sequence[Mapping[str, Any]] = response.json()["results"]
    return answers


def assert_released(service: FakeService) -> None:
    """No place is held, and every file is closed."""
    assert (service.places, service.spool.used, service.spool.files) == (0, 0, 0)
    assert all(file.closed for file in service.files)
    assert service.count("asr_requests_in_flight") == 0


def test_results_are_in_the_order_of_the_files() -> None:
    """Whichever ends first, each file's answer stands where the file stood, under its name."""
    service = FilesService(held=[b"one"])

    async def run() -> httpx2.Response:
        transport = httpx2.ASGITransport(create_http_app(service))
        async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
            files = [("file", ("1.wav", b"one")), ("file", ("2.wav", b"two")), ("file", ("речь.wav", b"three"))]
            asking = asyncio.create_task(client.post(OURS, files=files))
            await until(lambda: len(service.ended) == 2)
            assert service.places == 1
            service.release(b"one")
            return await asking

    response = asyncio.run(run())
    assert service.ended == [b"two", b"three", b"one"]
    assert [(result["file"], result["text"]) for result in results(response)] == [
        ("1.wav", "one"),
        ("2.wav", "two"),
        ("речь.wav", "three"),
    ]
    assert_released(service)


def test_one_file_has_no_list() -> None:
    """A request of one file is answered with its transcript itself."""
    assert post(FilesService(), ("1.wav", b"one")).json()["text"] == "one"


@pytest.mark.parametrize("name", ["file", "file[]", "files", "files[]"])
def test_files_have_many_names(name: str) -> None:
    """Each of the ways in which forms spell a list of files is taken."""
    response = client_of(FilesService()).post(OURS, files=[(name, ("1", b"one")), (name, ("2", b"two"))])
    assert [result["text"] for result in results(response)] == ["one", "two"]


def test_a_bad_file_does_not_spoil_the_rest() -> None:
    """The answer is 200, and has an error in the place of that file."""
    service = FilesService({b"two": InvalidAudio("not audio", code="no_audio", param="file")})
    one, two, three = results(post(service, ("1.wav", b"one"), ("2.wav", b"two"), ("3.wav", b"three")))
    assert (one["text"], three["text"]) == ("one", "three")
    error = {"message": "not audio", "type": "invalid_request_error", "param": "file", "code": "no_audio"}
    assert two == {"file": "2.wav", "error": error}
    assert service.count("asr_requests_total", endpoint="transcribe", outcome="ok") == 1
    assert_released(service)


@pytest.mark.parametrize("error", [InvalidAudio("bad"), EngineFailure("broke"), Overloaded("full")])
def test_all_files_may_be_bad(error: Exception) -> None:
    """Several files are always answered one by one."""
    told = results(post(FilesService({b"one": error, b"two": error}), ("1", b"one"), ("2", b"two")))
    assert [result["error"]["message"] for result in told] == [str(error)] * 2


def test_a_bug_ends_the_whole_request() -> None:
    """What nobody foresaw is a 500, and by then no file is worked on any more."""
    service = FilesService({b"two": ZeroDivisionError("secret")}, held=[b"one"])

    async def run() -> httpx2.Response:
        transport = httpx2.ASGITransport(create_http_app(service))
        async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
            response = await client.post(OURS, files=[("file", ("1", b"one")), ("file", ("2", b"two"))])
            assert service.given_up == [b"one"]
            return response

    response = asyncio.run(run())
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in response.text
    assert_released(service)


def test_files_share_the_options() -> None:
    """What is asked is asked of each file, by the same tenant."""
    service = FilesService()
    told = results(post(service, ("1", b"one"), ("2", b"two"), language="de", response_format="verbose_json"))
    assert [[segment["text"] for segment in result["segments"]] for result in told] == [["one"], ["two"]]
    assert [(options.language, options.timestamps) for _, options in service.heard] == [("de", True)] * 2


def test_words_are_in_the_segments_of_each() -> None:
    """Words are given for each file where asked, else for none."""
    fields = {"response_format": "verbose_json", "word_timestamps": "true"}
    for result in results(post(FilesService(), ("1", b"one"), ("2", b"two"), **fields)):
        assert [word["word"] for word in result["segments"][0]["words"]] == [" Hello"]
        assert "fallback" in result["segments"][0]


@pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
def test_text_is_of_one_file_only(response_format: str) -> None:
    """Formats that are no JSON have no place for several files; nothing is transcribed."""
    service = FilesService()
    response = post(service, ("1", b"one"), ("2", b"two"), response_format=response_format)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "invalid_value", "response_format")
    assert response_format in error["message"]
    assert "verbose_json" in error["message"]
    assert service.heard == []
    assert_released(service)


def test_there_may_be_as_many_files_as_the_limit() -> None:
    """The limit itself is taken, one file more is refused with the number."""
    files = [(f"{number}.wav", str(number).encode()) for number in range(MAX_FILES + 1)]
    told = results(post(FilesService(), *files[:-1]))
    assert [result["text"] for result in told] == [str(number) for number in range(MAX_FILES)]
    service = FilesService()
    response = post(service, *files)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "multiple_files", "file")
    assert str(MAX_FILES) in error["message"]
    assert_released(service)


def test_headers_and_metrics_are_of_all_files_together() -> None:
    """Audio adds up; of stages that ran side by side, the longest counts. Each result has its own."""
    service = FilesService()
    response = post(service, ("1", b"one"), ("2", b"three"))
    assert response.headers["x-audio-duration-seconds"] == "4.000"
    assert re.fullmatch(
        r"upload;dur=[\d.]+, inference;dur=500\.0, render;dur=[\d.]+", response.headers["server-timing"]
    )
    assert [result["timing"]["inference"] for result in results(response)] == [0.3, 0.5]
    assert service.count("asr_audio_seconds_total", outcome="ok") == 4


def test_equal_files_are_two_files() -> None:
    """The same recording twice is answered twice."""
    told = results(post(FilesService(), ("1", b"one"), ("2", b"one")))
    assert [(result["file"], result["text"]) for result in told] == [("1", "one"), ("2", "one")]


def test_a_client_that_leaves_ends_all_files() -> None:
    """The work on every file is cancelled, and all are closed."""
    service = FilesService(held=[b"one", b"two"])

    async def run() -> None:
        async with connected(service) as client:
            files = [("file", ("1", b"one")), ("file", ("2", b"two"))]
            asking = asyncio.create_task(client.post(OURS, files=files))
            await until(lambda: len(service.heard) == 2)
            asking.cancel()
            await until(lambda: service.count("asr_requests_total", endpoint="transcribe", outcome="cancelled"))

    asyncio.run(run())
    assert sorted(service.given_up) == [b"one", b"two"]
    assert_released(service)
