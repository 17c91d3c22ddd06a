"""The client against a real server on this machine, with a fake service behind it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from asr_api.client import ClientError, transcribe_file
from asr_api.errors import Overloaded
from asr_api.http import create_http_app
from asr_api.transcription import TranscriptionOptions

from .http.fakes import FakeService


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The URL of a server for `app`. It listens before it runs, so that nobody waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A file of a few hundred kilobytes, under a name that no header could carry."""
    path = tmp_path / "talk\udcff\r\n.wav"
    path.write_bytes(b"RIFF" * 50_000)
    return path


def test_transcript_comes_back_in_the_format_asked_for(recording: Path) -> None:
    """The answer's body comes back as it is, and the fields reach the service."""
    service = FakeService()
    with serving(create_http_app(service)) as url:
        assert transcribe_file(url, recording) == "Hello there. Bye."
        answer = transcribe_file(
            f"{url}/",
            recording,
            response_format="json",
            language="fr",
            prompt="Noms",
            task="translate",
            temperature=0.5,
        )
        transcribe_file(url, recording, multilingual=True)
    assert '"language":"en"' in answer
    assert service.heard[2][1] == TranscriptionOptions(multilingual=True)
    assert service.heard[0] == (recording.read_bytes(), TranscriptionOptions())
    assert service.heard[1][1] == TranscriptionOptions(task="translate", language="fr", prompt="Noms", temperature=0.5)


def test_upload_is_told_as_it_goes(recording: Path) -> None:
    """Progress grows to the size of the file, in pieces: the file is never in memory whole."""
    told: list[tuple[int, int]] = []
    with serving(create_http_app(FakeService())) as url:
        transcribe_file(url, recording, on_upload=lambda sent, size: told.append((sent, size)))
    assert told == sorted(told)
    assert len(told) > 3
    assert told[-1] == (200_000, 200_000)


def test_key_is_sent_as_bearer_token(recording: Path) -> None:
    """A proxy before the server may want a key; the server itself knows none."""
    seen: list[bytes] = []
    app = create_http_app(FakeService())

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["headers"])[b"authorization"])
        await app(scope, receive, send)

    with serving(proxy) as url:
        transcribe_file(url, recording, api_key="secret")
    assert seen == [b"Bearer secret"]


def test_refusal_is_the_server_s_sentence(recording: Path) -> None:
    """What the server says of a refusal is what the user reads, also where it never read the file."""
    with serving(create_http_app(FakeService())) as url, pytest.raises(ClientError) as wrong:
        transcribe_file(url, recording, language="klingon")
    assert (wrong.value.param, wrong.value.code) == ("language", "invalid_value")
    full = FakeService(refusal=Overloaded("256 requests are in progress"))
    with serving(create_http_app(full)) as url, pytest.raises(ClientError, match=r"^256 requests are in progress$"):
        transcribe_file(url, recording)


def test_other_servers_are_recognised_as_such(recording: Path) -> None:
    """An answer that is not in our envelope is told by its status."""
    with serving(FastAPI()) as url, pytest.raises(ClientError, match=r"answered 404 Not Found$"):
        transcribe_file(url, recording)


def test_nobody_there_is_said_so(recording: Path) -> None:
    """Where nothing listens, the sentence has the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(ClientError, match=f"^no server at {url}$"):
        transcribe_file(url, recording)


def test_connection_that_breaks_is_said_so(recording: Path) -> None:
    """A server that hangs up without an answer is told apart from none at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1)

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(ClientError, match="did not answer"):
            transcribe_file(f"http://127.0.0.1:{listener.getsockname()[1]}", recording)
        thread.join()


@pytest.mark.parametrize("server", ["127.0.0.1:8000", "localhost", "ftp://localhost", "http://server:port", ""])
def test_what_is_no_url_is_said_so(server: str, recording: Path) -> None:
    """A server's address without its scheme is the usual slip."""
    with pytest.raises(ClientError, match="is not a URL such as"):
        transcribe_file(server, recording)


def test_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """The file is opened before anything is sent."""
    with pytest.raises(ClientError, match="cannot be read: No such file or directory"):
        transcribe_file("http://127.0.0.1:1", tmp_path / "none.wav")
    with pytest.raises(ClientError, match="cannot be read: Is a directory"):
        transcribe_file("http://127.0.0.1:1", tmp_path)
