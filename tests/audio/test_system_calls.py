"""What a decode worker asks of the kernel, as strace sees it, while it is given files that name other places."""

import io
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from asr_api.audio.backlog import Backlog
from asr_api.audio.messages import Order
from asr_api.audio.pool import DecodePool, WorkerLimits, worker_command
from asr_api.errors import InvalidAudio
from asr_api.metrics import Metrics
from asr_api.transcription import AudioOptions
from tests.audio.sounds import encoded, tone, wav
from tests.bad_inputs.files import KINDS, box, sound
from tests.bad_inputs.other_files import audio, element, matroska, track

STRACE = shutil.which("strace")
TRACED = "trace=%network,%file,%process,%desc,prctl,seccomp"
LIMITS = WorkerLimits(timeout=60, memory=512 << 20)
CANARY = "canary.wav"

HARMLESS = frozenset(
    {
        "close", "clone", "clone3", "dup", "dup2", "dup3", "exit", "exit_group", "fcntl", "fstat", "futex", "lseek",
        "madvise", "mmap", "munmap", "poll", "ppoll", "prctl", "pread64", "pselect6", "read", "recvfrom", "recvmsg",
        "select", "sendto", "wait4", "write",
    }
)  # fmt: skip
"""What a confined worker may ask for, of what is traced: none of it takes a path, a name or an address."""


def can_trace() -> bool:
    return STRACE is not None and not subprocess.run([STRACE, "-o", os.devnull, "true"], check=False).returncode


pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not can_trace(), reason="needs strace, and the right to trace processes"),
]


@dataclass(frozen=True)
class Canaries:
    """A file and two ports of this machine that nobody has a reason to touch."""

    file: Path
    http: socket.socket
    udp: socket.socket

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http.getsockname()[1]}"

    @property
    def port(self) -> int:
        return int(self.udp.getsockname()[1])

    def assert_untouched(self) -> None:
        for listener, ask in ((self.http, self.http.accept), (self.udp, lambda: self.udp.recv(1))):
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                ask()
        assert self.file.stat().st_atime_ns == 0


@pytest.fixture
def canaries(tmp_path: Path) -> Iterator[Canaries]:
    file = tmp_path / CANARY
    file.write_bytes(wav(tone(1).tobytes()))
    os.utime(file, (0, 0))
    with ExitStack() as stack:
        http, udp = (stack.enter_context(socket.socket(type=kind)) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM))
        for listener in (http, udp):
            listener.bind(("127.0.0.1", 0))
        http.listen()
        yield Canaries(file, http, udp)


def hostile(canaries: Canaries) -> Mapping[str, bytes]:
    """Files that name the canaries, in every way that libavformat or a player knows."""
    address, file = canaries.address, canaries.file
    return {
        "SDP": session(canaries.port),
        "ffconcat": b"ffconcat version 1.0\nfile canary.wav\n",
        "ffconcat, absolute": f"ffconcat version 1.0\nfile '{file}'\n".encode(),
        "HLS": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}/x.ts\n#EXT-X-ENDLIST\n".encode(),
        "HLS of a file": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{file}\n#EXT-X-ENDLIST\n".encode(),
        "DASH": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT9S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet '
        f'mimeType="audio/mp4"><Representation id="0" bandwidth="9"><BaseURL>{address}/x.mp4</BaseURL><SegmentBase/>'
        "</Representation></AdaptationSet></Period></MPD>".encode(),
        "PLS": f"[playlist]\nNumberOfEntries=1\nFile1={address}/x.wav\n".encode(),
        "ASX": f'<asx version="3.0"><entry><ref href="{address}/x.wav"/></entry></asx>'.encode(),
        "mov elsewhere at an address": elsewhere(box(b"url ", bytes(4), f"{address}/x.mov".encode() + b"\0")),
        "mov elsewhere in a file": elsewhere(alias(file)),
        "mov that refers": box(b"ftyp", b"qt  ", bytes(4)) + box(b"moov", reference(f"{address}/x.mov")),
        "linked segments": linked(file.name),
    }  # fmt: skip


def session(port: int) -> bytes:
    """An SDP: libavformat binds the port to hear what it announces."""
    return f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n".encode()


def elsewhere(entry: bytes) -> bytes:
    """A QuickTime file whose sound lies elsewhere, as this entry of its table of references says."""
    data = encoded("mov", "pcm_s16le")
    at = data.index(b"dref") + 12
    grown = bytearray(data[:at] + entry + data[at + int.from_bytes(data[at : at + 4], "big") :])
    for name in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        size = slice(data.rindex(name, 0, at) - 4, data.rindex(name, 0, at))
        grown[size] = (int.from_bytes(grown[size], "big") + len(grown) - len(data)).to_bytes(4, "big")
    return bytes(grown)


def alias(path: Path) -> bytes:
    """A reference as an alias record of classic Mac OS, which names a volume, a folder and a file."""
    name = path.name.encode()
    record = bytes(10) + b"\1x".ljust(28, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    where = b"x:" + str(path).lstrip("/").replace("/", ":").encode()
    levels = b"\0\1\0\1" + bytes(16)
    return box(
        b"alis", bytes(4), record, levels, b"\0\2", len(where).to_bytes(2, "big"), where + b"\0" * (len(where) % 2)
    )


def reference(address: str) -> bytes:
    """A movie that is to be had at another address."""
    return box(
        b"rmra", box(b"rmda", box(b"rdrf", bytes(4), b"url ", len(address).to_bytes(4, "big"), address.encode()))
    )


def linked(name: str) -> bytes:
    """A Matroska file that goes on in another one."""
    uid = element("3eb923", bytes(range(16)))
    going_on = element("1549a966", uid, element("3e83bb", name.encode()), element("3c83ab", name.encode()))
    chapter = element("1043a770", element("45b9", element("b6", element("91", b"\0"), element("6e67", bytes(16)))))
    return matroska(track(2, b"A_PCM/INT/LIT", audio(16_000, 1)), more=going_on + chapter)


async def ending(pool: DecodePool, data: bytes) -> str:
    """`decoded`, or the code of the refusal."""
    order = Order(options=AudioOptions(denoise=True), n_mels=80, max_seconds=60, descriptor=False)
    try:
        async with pool.prepare(io.BytesIO(data), order, Backlog(io.BytesIO(), 1 << 20)) as recording:
            async for _ in recording:
                pass
    except InvalidAudio as error:
        return error.code
    return "decoded"


def calls(log: str) -> list[str]:
    """The calls that were begun, without their process; where one was interrupted, as far as it was known."""
    return [found[1] for line in log.splitlines() if (found := re.match(r"(?:\d+ +)?(\w+\(.*)", line))]


def confined(log: str) -> list[str]:
    """The calls after the filter was set."""
    made = calls(log)
    (at,) = (n for n, call in enumerate(made) if call.startswith("prctl(PR_SET_SECCOMP"))
    return made[at + 1 :]


async def test_a9_no_other_file_and_no_network(tmp_path: Path, canaries: Canaries) -> None:
    """A9: while a worker reads hostile files and good ones, it makes no call that takes a path or an address."""
    log, metrics = tmp_path / "calls", Metrics("test")
    command = [str(STRACE), "-f", "-o", str(log), "-e", TRACED, *worker_command(LIMITS)]
    pool = DecodePool(command, tmp_path, size=1, limits=LIMITS, metrics=metrics)
    await pool.open()
    try:
        refused = {name: await ending(pool, data) for name, data in hostile(canaries).items()}
        heard = {name: await ending(pool, sound(name)) for name in KINDS}
        assert pool.count("idle") == 1
    finally:
        await pool.close()
    assert set(heard.values()) == {"decoded"}
    assert {name for name, code in refused.items() if code == "decoded"} <= {
        "linked segments", "mov elsewhere at an address", "mov elsewhere in a file",
    }  # fmt: skip
    made = confined(log.read_text())
    strange = [call for call in made if call.split("(")[0] not in HARMLESS]
    assert strange == []
    assert all("NULL, 0" in call for call in made if call.startswith("sendto("))
    assert Counter(call.split("(")[0] for call in made)["recvfrom"] > len(refused) + len(heard)
    canaries.assert_untouched()


UNGUARDED = """
import importlib, io, pkgutil, sys
import av
for module in pkgutil.walk_packages(av.__path__, "av."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from asr_api.audio.confinement import confine
data = sys.stdin.buffer.read()
confine(512 << 20)
try:
    av.open(io.BytesIO(data), container_options={"safe": "0"}, timeout=5)
except av.FFmpegError:
    pass
else:
    raise SystemExit("the file was opened")
"""
"""A confined process in which libavformat is let do all that it would."""


@pytest.mark.parametrize(
    ("name", "call"), [("SDP", "socket"), ("ffconcat", "openat"), ("ffconcat, absolute", "openat")]
)
def test_the_kernel_refuses_what_libav_would_do(tmp_path: Path, canaries: Canaries, name: str, call: str) -> None:
    """Without the lists of what libavformat may use, a file does ask for a socket or a file, and gets none."""
    log = tmp_path / "calls"
    command = [str(STRACE), "-f", "-o", str(log), "-e", TRACED, sys.executable, "-c", UNGUARDED]
    subprocess.run(command, input=hostile(canaries)[name], cwd=tmp_path, check=True, timeout=100)
    asked = [made for made in confined(log.read_text()) if made.split("(")[0] not in HARMLESS]
    assert asked
    assert {made.split("(")[0] for made in asked} == {call}
    assert all("= -1 EPERM" in made or "= -1 EMFILE" in made for made in asked)
    canaries.assert_untouched()
