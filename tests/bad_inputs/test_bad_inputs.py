"""Every bad input gets its exact answer from the real server, and all of them together leave nothing behind.

The tests stand in the order in which they must run.
"""

import re
from collections.abc import Iterator

import httpx2
import pytest

from tests.e2e.recordings import CALLSIGN

from . import bad_bodies, bad_fields, damaged_files, long_files, other_files, text_files, wav_files
from .row import Row
from .target import Target, WatchedServer

pytestmark = pytest.mark.e2e

THEMES = (wav_files, damaged_files, text_files, other_files, long_files, bad_bodies, bad_fields)
ROWS: list[Row] = [row for theme in THEMES for row in theme.ROWS]

GROWTH = 64 << 20
"""Bytes that the server's processes may have grown by, all together, since it was warm."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    with WatchedServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def target(server: WatchedServer) -> Iterator[Target]:
    with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        target = Target(server, client)
        target.warm_up()
        yield target


def test_the_table_is_a_table() -> None:
    """More than 300 inputs, each with a name of its own."""
    names = [row.name for row in ROWS]
    assert len(names) >= 300
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_answer(row: Row, target: Target) -> None:
    """The status, and in a refusal the code, the field, a message that says why, and that a retry is no use."""
    response = target.send(row)
    status, code, param, text = answer_of(response)
    assert (status, code, param) == (row.answer.status, row.answer.code, row.answer.param), text
    assert re.search(row.answer.says, text, re.DOTALL)


def answer_of(response: httpx2.Response) -> tuple[int, str | None, str | None, str]:
    """Status, code, field, and the message or the transcript; a refusal must have its whole envelope."""
    if "json" not in response.headers.get("content-type", "") or not response.content:
        return response.status_code, None, None, response.text
    if response.status_code == 200:
        return 200, None, None, response.json()["text"]
    error = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["type"] == "invalid_request_error"
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-request-id"]
    return response.status_code, error["code"], error["param"], error["message"]


def test_afterwards_every_request_is_accounted_for(target: Target) -> None:
    """As many as were sent, each with the outcome that it had; no other outcome ever was."""
    outcomes = target.counted("asr_requests_total")
    assert {outcome: count for outcome, count in outcomes.items() if count} == target.outcomes


def test_afterwards_every_refused_file_has_its_reason(target: Target) -> None:
    """The metrics tell as many refused files as there were."""
    assert sum(target.counted("asr_decode_rejections_total").values()) == target.files_refused


def test_afterwards_nothing_is_held(target: Target) -> None:
    """No place, no chunk, no second of audio, no byte of the spool, and no busy worker."""
    metrics = target.metrics()
    gauges = (
        "asr_requests_running", "asr_queue_chunks", "asr_queue_audio_seconds", "asr_spool_files",
        "asr_spool_used_bytes", 'asr_decode_workers{state="busy"}',
    )  # fmt: skip
    assert {name: metrics[name] for name in gauges if metrics[name]} == {}


def test_afterwards_no_file_is_left(target: Target) -> None:
    """Neither in the spool folder nor in the one for temporary files, neither named nor open."""
    assert target.server.files == target.files_when_warm


def test_afterwards_there_are_as_many_processes(target: Target) -> None:
    """None is missing and none is left over."""
    assert len(target.server.processes) == target.processes_when_warm


def test_afterwards_memory_is_back(target: Target) -> None:
    """All the processes together are about as large as they were when they were warm."""
    assert target.server.resident_bytes < target.resident_when_warm + GROWTH


def test_afterwards_the_log_tells_of_no_bug(target: Target) -> None:
    """No traceback, and nothing worse than a warning."""
    assert re.findall(r"Traceback|ERROR|CRITICAL", target.server.log) == []


@pytest.mark.parametrize("name", ["en-02.flac", "en-mp3.mp3", "en-webm-opus.webm", "de-01.flac"])
def test_afterwards_it_transcribes(name: str, target: Target) -> None:
    """The words as they were said."""
    target.is_well(CALLSIGN[name])
