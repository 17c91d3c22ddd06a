"""What docs/faults.md says and no other test shows: failing disks, clocks, surroundings, and what is never written."""

import ast
import errno
import io
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx2
import pytest

from asr_api.errors import StorageFull
from asr_api.metrics import Metrics
from asr_api.spool import Spool
from tests.e2e.process import environment
from tests.e2e.recordings import CALLSIGN, words
from tests.observability.running import Running

PACKAGE = Path(__file__).parents[2] / "src" / "asr_api"
CLIP = CALLSIGN["en-01.flac"]
READY = r"docs:\s+(http\S+)/docs"


class FailingDisk(io.BytesIO):
    """A file of which no write succeeds."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, _: object, /) -> int:
        raise OSError(self._number, errno.errorcode[self._number])


class FailingSpool(Spool):
    """A spool whose disk answers every write with one error."""

    def __init__(self, directory: Path, number: int) -> None:
        super().__init__(directory, 1000, Metrics("0"))
        self._number = number

    def create(self) -> IO[bytes]:
        return FailingDisk(self._number)


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EIO, errno.ENOSPC, errno.EROFS])
def test_t20_whatever_the_disk_answers_is_told(number: int, tmp_path: Path) -> None:
    """A quota and a broken disk are `storage_full` like a full one; nothing stays booked, and memory still serves."""
    spool = FailingSpool(tmp_path, number)
    with spool.file(max_memory=4) as file:
        file.write(b"four")
        with pytest.raises(StorageFull, match=errno.errorcode[number].lower()):
            file.write(b"!")
        assert (spool.used, spool.files) == (0, 0)
        file.seek(0)
        assert file.read() == b"four"


WALL_CLOCK = {
    "calibration/command.py": "a finding has its date",
    "metrics/engine.py": "a gauge tells when an engine call last ended",
    "http/__init__.py": "a model in /v1/models has a time of creation",
    "spool.py": "the age of a file on disk",
    "telemetry/otlp.py": "spans have times of the day",
}
"""The modules that ask what time it is; none waits by it."""


def readers_of(attributes: frozenset[str]) -> set[str]:
    """The modules that use one of these attributes."""
    return {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in attributes
    }


def test_q11_nothing_waits_by_the_wall_clock() -> None:
    """Deadlines, waits and rates are by the monotonic clock, which nobody sets."""
    wall = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "time.localtime"}
    assert readers_of(frozenset(wall)) == set(WALL_CLOCK)


def test_x10_nothing_is_unpickled_or_compiled() -> None:
    """Neither a model nor a message can bring code along."""
    imported = {
        name.split(".")[0]
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in names_of(node)
    }
    assert imported & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "torch", "eval", "exec"} == set()


def names_of(node: ast.AST) -> list[str]:
    """What a node imports, and the built-in function that it calls."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [node.func.id] if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else []


KEY = "sk-canary-4711-and-more"
SENTENCE = "the canary sings at noon"
FILENAME = "canary\u202e\u001b[31m\n${jndi:ldap://127.0.0.1:9/x}.wav"
PATHS = ("/transcribe", "/v1/audio/transcriptions")


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A server that logs all it can, and its metrics, after requests full of what must never be written."""
    folder = tmp_path_factory.mktemp("talkative")
    settings = {"ASR_LOG_LEVEL": "debug", "ASR_LOG_FORMAT": "json", "ASR_API_KEYS": f"mobile:{KEY}"}
    environ = environment(folder, ASR_SPOOL_DIR=str(folder / "spool"), **settings)
    command = [sys.executable, "-m", "asr_api", "serve", "--model", "callsign", "--port", "0"]
    with Running(command, READY, environ) as server:
        with httpx2.Client(base_url=server.found[1], timeout=60, trust_env=False) as client:
            metrics = provoke(client)
        yield server, metrics


def provoke(client: httpx2.Client) -> str:
    """Send what is served, what is refused, and wrong keys; returns the metrics."""
    right = {
        "authorization": f"Bearer {KEY}",
        "user-agent": FILENAME.encode("unicode-escape").decode() + '"}',
        "x-request-id": '{"level": "ERROR"}',
    }
    fields = {"prompt": SENTENCE, "model": "whisper-1", "response_format": "verbose_json"}
    for path in PATHS:
        for content in (CLIP.path.read_bytes(), b"no audio"):
            answer = client.post(path, headers=right, data=fields, files={"file": (FILENAME, content)})
            assert answer.status_code in (200, 400), answer.text
            assert re.fullmatch(r"[0-9a-f]+", answer.headers["x-request-id"])
            assert "server" not in answer.headers
        unknown = client.post(path, headers=right, data=fields | {"model": SENTENCE}, files={"file": b"x"})
        assert unknown.status_code == 404
        assert client.post(path, headers={"authorization": f"Bearer {KEY}?"}).status_code == 401
    return client.get("/metrics", headers=right).text


def written(server: Running) -> list[str]:
    """The lines of its log: all but what it said when it was ready."""
    return [line for line in server.lines if not re.match("ready:|try:|docs:", line)]


@pytest.mark.e2e
def test_x8_p4_what_is_confidential_is_nowhere(talkative: tuple[Running, str]) -> None:
    """No key, prompt, file name or transcript: neither in the log, at any level, nor in the metrics."""
    server, metrics = talkative
    text = "".join(written(server)) + metrics
    assert "asr_requests_total" in text
    said = words(CLIP.text)
    pairs = [" ".join(pair) for pair in itertools.pairwise(said)]
    told = [secret for secret in ("canary", "jndi", *pairs) if secret in text.lower()]
    assert told == []


@pytest.mark.e2e
def test_p3_every_line_is_an_event(talkative: tuple[Running, str]) -> None:
    """Whatever clients call their files and themselves, a line is one JSON object, and none of theirs."""
    server, _ = talkative
    events = [json.loads(line) for line in written(server)]
    assert sum(event["message"] == "request" for event in events) == 4 * len(PATHS)
    assert {event["level"] for event in events} <= {"DEBUG", "INFO", "WARNING"}


ALONE = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro /
ip link set lo up
cd /
shift
echo "pid: $$"
exec "$@"
"""
"""A machine with no network but its loopback, on which one folder alone can be written."""


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Running]:
    """A server in that machine, with another locale and time zone."""
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces can be made here")
    environ = environment(tmp_path / "models") | {
        "LC_ALL": "C", "TZ": "Asia/Kathmandu", "TMPDIR": str(tmp_path), "HOME": "/nowhere", "PYTHONUTF8": "0",
    }  # fmt: skip
    del environ["ASR_OFFLINE"]
    serve = [sys.executable, "-m", "asr_api", "serve", "--model", "callsign", "--port", "0"]
    shell = ["sh", "-c", ALONE, "sh", str(tmp_path), *serve]
    with Running(["unshare", "--net", "--mount", *shell], READY, environ) as server:
        yield server


@pytest.mark.e2e
def test_s11_s12_s13_it_needs_no_network_no_disk_and_no_locale(alone: Running) -> None:
    """Without a network, on a read-only disk, in locale C and a strange time zone: the same words, in UTF-8."""
    pid = next(line.split()[1] for line in alone.lines if line.startswith("pid:"))
    inside = ["nsenter", "--target", pid, "--net", "curl", "--silent", "--fail"]
    recording = CALLSIGN["zh-01.flac"]
    form = ["-F", f"file=@{recording.path}", "-F", "response_format=srt"]
    answer = subprocess.run([*inside, *form, f"{alone.found[1]}/transcribe"], capture_output=True, check=True)
    number, times, *said = answer.stdout.decode("utf-8").strip().splitlines()
    assert (number, times.startswith("00:00:0")) == ("1", True)
    assert words("".join(said), "zh") == words(recording.text, "zh")
    ready = subprocess.run([*inside, f"{alone.found[1]}/readyz"], capture_output=True, check=True)
    assert json.loads(ready.stdout) == {"status": "ready"}
    mounts = Path(f"/proc/{pid}/mountinfo").read_text()
    assert re.search(r" / / ro", mounts)
