"""Refusals and disconnects at the real server."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from asr_api.transcription import SAMPLE_RATE
from tests.e2e.process import Counters, ServerProcess, environment
from tests.e2e.recordings import CALLSIGN, CLOSE, joined, wav

RECORDING = CALLSIGN["en-01.flac"]


@pytest.fixture(scope="module")
def narrow(model_dir: Path) -> Iterator[ServerProcess]:
    """A server with room for one request, which refuses with 429."""
    settings = {"ASR_MAX_CONCURRENT_REQUESTS": "1", "ASR_OVERLOAD_STATUS": "429", "ASR_MAX_AUDIO_SECONDS": "7200"}
    with ServerProcess("--model", "callsign", environ=environment(model_dir, **settings)) as server:
        yield server


@pytest.fixture(scope="module")
def long_file() -> bytes:
    """Half an hour, which keeps the server busy for some seconds."""
    samples, _ = joined(30, CLOSE, seed=3)
    return wav(samples)


def post_and_leave(server: ServerProcess, body: bytes, begun: threading.Event) -> None:
    """Send a whole request, wait until it is at work, and close the connection without reading."""
    timeout = httpx2.Timeout(30, read=1.5)
    with server.client() as client:
        begun.set()
        with pytest.raises(httpx2.TimeoutException):
            client.post("/transcribe", files={"file": body}, data={"language": "en"}, timeout=timeout)


def wait_for(client: httpx2.Client, name: str, value: float) -> None:
    """Ask for the metrics until one has the value."""
    for _ in range(3000):
        if Counters(client)[name] == value:
            return
    raise AssertionError(f"{name} never was {value}")


def test_a_client_that_leaves_takes_its_chunks_along(
    callsign_server: ServerProcess, callsign: httpx2.Client, long_file: bytes
) -> None:
    """Half an hour of audio is withdrawn when its client closes the connection, and the next is served at once."""
    cancelled = 'asr_requests_total{endpoint="transcribe",outcome="cancelled"}'
    before = Counters(callsign)[cancelled]
    post_and_leave(callsign_server, long_file, threading.Event())
    wait_for(callsign, cancelled, before + 1)
    wait_for(callsign, "asr_queue_chunks", 0)
    assert Counters(callsign)["asr_queue_audio_seconds"] == 0
    answer = callsign.post("/transcribe", files={"file": RECORDING.path.read_bytes()}).json()
    assert answer["text"] == RECORDING.text


def test_without_room_requests_are_refused_with_a_time_to_come_back(narrow: ServerProcess, long_file: bytes) -> None:
    """One request at work is all there is room for: the next hears 429 with Retry-After; later there is room."""
    begun = threading.Event()
    busy = threading.Thread(target=post_and_leave, args=(narrow, long_file, begun))
    with narrow.client() as client:
        busy.start()
        begun.wait(10)
        wait_for(client, "asr_requests_running", 1)
        refused = client.post("/transcribe", files={"file": RECORDING.path.read_bytes()})
        busy.join(60)
        wait_for(client, "asr_requests_running", 0)
        answered = client.post("/transcribe", files={"file": RECORDING.path.read_bytes()})
        assert Counters(client)['asr_requests_total{endpoint="transcribe",outcome="shed"}'] == 1
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert answered.json()["text"] == RECORDING.text


def test_audio_that_does_not_fit_is_refused_by_its_length(model_dir: Path) -> None:
    """The limit of seconds stands in the message."""
    settings = {"ASR_MAX_AUDIO_SECONDS": "20"}
    with ServerProcess("--model", "callsign", environ=environment(model_dir, **settings)) as server:
        samples, _ = joined(0.5, CLOSE, seed=1)
        assert len(samples) > 20 * SAMPLE_RATE
        with server.client() as client:
            error = client.post("/transcribe", files={"file": wav(samples)}).json()["error"]
    assert (error["code"], error["param"]) == ("audio_too_long", "file")
    assert "20 s" in error["message"]
