"""The server that the bad inputs are sent to, watched from outside."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx2

from asr_api.transcription import SAMPLE_RATE
from tests.audio.sounds import wav
from tests.e2e.process import ServerProcess, environment
from tests.e2e.recordings import CALLSIGN, Recording, words

from .files import KINDS, sound
from .row import MAX_BYTES, MAX_SECONDS, MULTIPART, NOTHING_SAID, TOO_LARGE, Part, Row, multipart, upload, uploads

FAULTS_OF_THE_FORM = ("missing_file", "invalid_file", "multiple_files")
TOO_LARGE_BODY = upload("warm-up: too large", partial(bytes, MAX_BYTES), TOO_LARGE)
CLIP = CALLSIGN["en-01.flac"]


class WatchedServer(ServerProcess):
    """The server with small limits, and with folders of its own for whatever it may write."""

    def __init__(self, folder: Path) -> None:
        self.spool, self.temporary = folder / "spool", folder / "temporary"
        self.temporary.mkdir()
        limits = ["--max-audio-seconds", str(MAX_SECONDS), "--max-upload-bytes", str(MAX_BYTES)]
        environ = environment(folder / "models", ASR_SPOOL_DIR=str(self.spool), TMPDIR=str(self.temporary))
        super().__init__("--model", "callsign", *limits, environ=environ)

    @property
    def processes(self) -> list[int]:
        """The process and all below it."""
        return list(_tree(self._process.pid))

    @property
    def resident_bytes(self) -> int:
        return sum(_resident(pid) for pid in self.processes)

    @property
    def files(self) -> list[str]:
        """What lies in its folders, and what is open in them, also without a name."""
        held = [str(path) for folder in (self.spool, self.temporary) for path in folder.rglob("*") if path.is_file()]
        folders = (str(self.spool), str(self.temporary))
        return held + [path for pid in self.processes for path in _open_files(pid) if path.startswith(folders)]


@dataclass(slots=True)
class Target:
    """Sends requests, and counts them as the metrics must; knows how large the server was when it was warm."""

    server: WatchedServer
    client: httpx2.Client
    sent: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: {"ok": 0, "client_error": 0})
    files_refused: int = 0
    resident_when_warm: int = 0
    processes_when_warm: int = 0
    files_when_warm: list[str] = field(default_factory=list)

    def warm_up(self) -> None:
        """Let it do what takes memory for good: each codec, the longest audio, the largest body."""
        kinds = {kind: partial(sound, kind) for kind in KINDS}
        longest = partial(wav, b"\x80" * MAX_SECONDS * SAMPLE_RATE, bits=8)
        for row in (*uploads("warm-up", {**kinds, "longest": longest}, NOTHING_SAID), TOO_LARGE_BODY):
            self.send(row)
        for recording in list(CALLSIGN.values())[:10]:
            self.is_well(recording)
        self.resident_when_warm = self.server.resident_bytes
        self.processes_when_warm = len(self.server.processes)
        self.files_when_warm = self.server.files

    def send(self, row: Row) -> httpx2.Response:
        """The answer to a row; after every 25th the server is asked for something sensible."""
        response = self.client.request(row.method, row.path, content=row.body(), headers=row.headers)
        if row.counted:
            self.outcomes["ok" if response.status_code == 200 else "client_error"] += 1
            self.files_refused += _refuses_a_file(response)
        self.sent += 1
        if self.sent % 25 == 0:
            self.is_well()
        return response

    def is_well(self, recording: Recording = CLIP) -> None:
        """A clip gets its words."""
        body = multipart(Part("file", recording.path.read_bytes(), "speech.wav"))
        response = self.client.post("/transcribe", content=body, headers=MULTIPART)
        self.outcomes["ok"] += 1
        assert response.status_code == 200, response.text
        assert words(response.json()["text"], recording.language) == words(recording.text, recording.language)

    def metrics(self) -> Mapping[str, float]:
        lines = self.client.get("/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def counted(self, name: str) -> dict[str, float]:
        """A counter by its outcome or reason, summed over its other labels."""
        sums: dict[str, float] = {}
        for sample, value in self.metrics().items():
            if found := re.fullmatch(rf'{name}{{.*(?:outcome|reason)="(\w+)".*}}', sample):
                sums[found[1]] = sums.get(found[1], 0.0) + value
        return sums


def _refuses_a_file(response: httpx2.Response) -> bool:
    if response.status_code != 400:
        return False
    error = response.json()["error"]
    return error["param"] == "file" and error["code"] not in FAULTS_OF_THE_FORM


def _tree(root: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()):
        children.setdefault(_parent(pid), []).append(pid)
    waiting = [root]
    while waiting:
        waiting += children.get(pid := waiting.pop(), [])
        yield pid


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # ended since it was listed
        return 0


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _open_files(pid: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield str(descriptor.readlink())
        except OSError:  # closed since it was listed
            continue
