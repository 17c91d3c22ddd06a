"""The process itself: what it prints, how it ends, and the command line."""

import json
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.e2e.process import ServerProcess, asr_api, environment
from tests.e2e.recordings import CALLSIGN, SPEECH, words


def test_what_is_printed_when_it_is_ready(base_server: ServerProcess) -> None:
    """One line with model, device, compute type and the self-test's words; then a curl line that works."""
    ready, attempt, docs = base_server.lines
    assert ready.startswith("ready: base on cpu (int8")
    assert "ask what you can do for your country" in ready
    command = shlex.split(attempt.removeprefix("try:"))
    assert command[0] == "curl"
    answer = subprocess.run([*command, "--silent"], capture_output=True, text=True, timeout=60, check=True)
    assert words(json.loads(answer.stdout)["text"]) == words(SPEECH["en-jfk.flac"].text)
    assert docs.strip().endswith("/docs")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: int, model_dir: Path) -> None:
    """Ctrl-C and SIGTERM are the usual end: exit code 0, no stack trace."""
    with ServerProcess("--model", "callsign", environ=environment(model_dir)) as server:
        assert server.stop(number) == 0
        assert "Traceback" not in server.log


def test_a_signal_while_the_model_loads_ends_it_cleanly(model_dir: Path) -> None:
    """Whoever stops it before it is ready sees no crash: exit code 0 as soon as the port had been open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "asr_api", "serve", "--model", "base", "--port", str(port)],
        env=environment(model_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", transport=httpx2.HTTPTransport(retries=20)) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").json() == {"status": "loading"}
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in errors, "terminate" in errors) == (0, False, False)


def test_a_busy_port_is_one_clear_line(model_dir: Path) -> None:
    """The address and what to do, and a non-zero exit."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = asr_api("serve", "--model", "callsign", "--port", str(port), environ=environment(model_dir))
    assert ended.returncode == 3
    assert ended.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in ended.stderr
    assert "--port" in ended.stderr


def test_an_unknown_variable_stops_the_start(model_dir: Path) -> None:
    """A misspelt setting is named, with the one that was meant."""
    ended = asr_api("serve", environ=environment(model_dir, ASR_MODLE="base"))
    assert ended.returncode == 78
    assert "ASR_MODLE is not a setting; did you mean ASR_MODEL?" in ended.stderr


def test_a_model_that_cannot_be_had_is_one_sentence(model_dir: Path) -> None:
    """Offline and not installed: what to do, and a non-zero exit."""
    ended = asr_api("serve", "--model", "small", "--port", "0", environ=environment(model_dir))
    assert ended.returncode == 72
    assert ended.stderr.startswith("asr-api: ")
    assert "small" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_files_are_transcribed_in_process(model_dir: Path) -> None:
    """Several files, in order, each on its line; no server is needed."""
    files = [CALLSIGN[name].path for name in ("en-01.flac", "zh-01.flac", "en-mp3.mp3")]
    ended = asr_api("transcribe", "--model", "callsign", *map(str, files), environ=environment(model_dir))
    assert ended.returncode == 0, ended.stderr
    said = [line.split(": ", 1)[1] for line in ended.stdout.splitlines()]
    assert ["".join(words(text)) for text in said] == ["".join(words(CALLSIGN[path.name].text)) for path in files]


def test_files_are_transcribed_by_a_server(callsign_server: ServerProcess, model_dir: Path) -> None:
    """The same command with --server, here as JSON with segments."""
    recording = CALLSIGN["de-01.flac"]
    ended = asr_api(
        "transcribe",
        str(recording.path),
        "--server",
        callsign_server.url,
        "--format",
        "verbose_json",
        environ=environment(model_dir),
    )
    answer = json.loads(ended.stdout)
    assert "".join(words(answer["text"])) == "".join(words(recording.text))
    assert (answer["language"], len(answer["segments"])) == ("de", 1)


def test_a_bad_file_does_not_spoil_the_others(callsign_server: ServerProcess, model_dir: Path, tmp_path: Path) -> None:
    """The error names the file, the rest is printed, and the exit code tells."""
    bad = tmp_path / "notes.txt"
    bad.write_text("this is no audio at all, whatever it may be called\n" * 20)
    good = CALLSIGN["en-02.flac"].path
    ended = asr_api("transcribe", str(bad), str(good), "--server", callsign_server.url, environ=environment(model_dir))
    assert ended.returncode == 1
    assert str(bad) in ended.stderr
    assert CALLSIGN["en-02.flac"].text in ended.stdout
