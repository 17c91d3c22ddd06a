"""What `asr-api doctor` looks at on this machine: ports, folders, limits, the hub, the decode workers."""

import errno
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from asr_api.doctor.groups import ControlGroup
from asr_api.doctor.machine import Port
from asr_api.doctor.probes import ask_hub, decode_sample, filesystem_of, look_at_folder, look_at_port
from asr_api.doctor.this_machine import cpu_flags, look_for_model, visible
from asr_api.gpu import GpuFacts
from asr_api.settings import Settings


def test_a_free_port_is_free() -> None:
    """And stays so."""
    assert look_at_port("127.0.0.1", 0) == Port("free")


def test_an_address_of_another_machine_is_refused() -> None:
    """With the kernel's reason."""
    assert look_at_port("192.0.2.1", 8000) == Port("refused", os.strerror(errno.EADDRNOTAVAIL).lower())


@contextmanager
def answering(body: bytes) -> Iterator[int]:
    """A server on a free port that answers everything with `body`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.send_error(405)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("body", "state"), [(b'{"status":"ok"}', "ours"), (b"It works!", "taken")])
def test_who_has_a_port_is_told_apart(body: bytes, state: str) -> None:
    """Our own service by its answer; anybody else is a stranger."""
    with answering(body) as port:
        assert look_at_port("127.0.0.1", port).state == state


def test_a_hub_that_answers_anything_is_there() -> None:
    """Even a refusal is an answer; a port with nobody behind it is none."""
    with answering(b"") as port:
        assert ask_hub(f"http://127.0.0.1:{port}") == ""
    assert "refused" in ask_hub(f"http://127.0.0.1:{port}").lower()
    assert ask_hub("nonsense") != ""


def test_a_hub_that_says_nothing_is_not_waited_for() -> None:
    """The time that it has is bounded, whatever it does."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert ask_hub(f"http://127.0.0.1:{silent.getsockname()[1]}", within=0.05) != ""


def test_a_folder_that_is_to_be_made_is_judged_by_the_next_above(tmp_path: Path) -> None:
    """Nothing is left in it."""
    folder = look_at_folder(tmp_path / "not" / "yet")
    assert (folder.path, folder.fault, folder.free > 0) == (tmp_path, "", True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_a_fault(tmp_path: Path) -> None:
    """With the kernel's reason."""
    (tmp_path / "spool").write_text("")
    assert "not a directory" in look_at_folder(tmp_path / "spool").fault


def test_the_file_system_is_that_of_the_deepest_mount() -> None:
    """A later mount on the same folder covers an earlier one."""
    mounts = [
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
        "2 1 0:5 / /data rw - xfs /dev/sdb rw",
        "3 1 0:6 / /data rw shared:1 - tmpfs tmpfs rw",
    ]
    assert filesystem_of(Path("/data/spool"), mounts) == "tmpfs"
    assert filesystem_of(Path("/database"), mounts) == "ext4"


def test_a_worker_decodes_the_sample_here() -> None:
    """The whole way: a process, confined, the file in and chunks out."""
    decoded = decode_sample(Settings())
    assert (decoded.fault, decoded.chunks > 0, round(decoded.seconds)) == ("", True, 11)


def test_a_worker_that_makes_nothing_of_it_is_told_of(tmp_path: Path) -> None:
    """In one sentence, be the recording no recording or not there."""
    recording = tmp_path / "notes.txt"
    assert "no such file" in decode_sample(Settings(), recording).fault
    recording.write_text("no sound at all")
    assert decode_sample(Settings(), recording).fault != ""


def group(tmp_path: Path, line: str, files: Mapping[str, str]) -> ControlGroup:
    """A control group of a process, as the kernel shows it."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cgroup").write_text(line + "\n")
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return ControlGroup(tmp_path / "proc", tmp_path / "groups")


def test_limits_of_control_groups(tmp_path: Path) -> None:
    """The least of the group's and of those above it."""
    files = {
        "memory.max": "8000000000",
        "pod/memory.max": "4000000000",
        "pod/it/memory.max": "max",
        "pod/cpu.max": "250000 100000",
        "pod/it/cpu.max": "max 100000",
        "pod/it/pids.max": "512",
        "pod/it/pids.current": "17",
    }
    found = group(tmp_path, "0::/pod/it", files)
    assert (found.memory(), found.cores(), found.tasks(), found.tasks_now()) == (4_000_000_000, 2.5, 512, 17)


def test_limits_of_control_groups_of_version_1(tmp_path: Path) -> None:
    """In a container, whose path is not seen, the mount itself is the group."""
    files = {
        "memory/memory.limit_in_bytes": "4000000000",
        "cpu/cpu.cfs_quota_us": "150000",
        "cpu/cpu.cfs_period_us": "100000",
        "pids/pids.max": "max",
    }
    found = group(tmp_path, "3:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:pids:/docker/abc", files)
    (tmp_path / "groups" / "cpu").rename(tmp_path / "groups" / "cpu,cpuacct")
    (tmp_path / "groups" / "cpu").symlink_to("cpu,cpuacct")
    assert (found.memory(), found.cores(), found.tasks(), found.tasks_now()) == (4_000_000_000, 1.5, None, 0)


def test_without_control_groups_nothing_is_bounded(tmp_path: Path) -> None:
    """As on another system."""
    found = ControlGroup(tmp_path / "absent", tmp_path / "absent")
    assert (found.memory(), found.cores(), found.tasks(), found.tasks_now()) == (None, None, None, 0)


def test_gpus_are_numbered_as_cuda_numbers_them() -> None:
    """CUDA_VISIBLE_DEVICES hides and reorders; what follows a name that is none is hidden too."""
    card = GpuFacts(0, "", "", "570", (12, 8), (8, 9), 0, 1)
    cards = [replace(card, index=number, uuid=f"GPU-{number}{number}") for number in range(3)]

    def seen(names: str | None) -> list[tuple[int, str]]:
        return [(gpu.index, gpu.uuid) for gpu in visible(cards, names)]

    assert seen(None) == [(0, "GPU-00"), (1, "GPU-11"), (2, "GPU-22")]
    assert seen("2,0") == [(0, "GPU-22"), (1, "GPU-00")]
    assert seen("GPU-1") == [(0, "GPU-11")]
    assert seen("1,-1,0") == [(0, "GPU-11")]
    assert seen("") == []


def test_the_instructions_of_a_processor(tmp_path: Path) -> None:
    """Of x86 or of ARM; none where it is not told."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nFeatures  : fp asimd\nprocessor : 1\nFeatures : fp\n")
    assert cpu_flags(cpuinfo) == {"fp", "asimd"}
    assert cpu_flags(tmp_path / "absent") == frozenset()


def test_a_model_is_looked_for_and_never_made(tmp_path: Path) -> None:
    """In the package, in its folder, among packages; or there is none of that name."""

    def state(model: str) -> str:
        return look_for_model(Settings(model=model, model_dir=tmp_path)).state

    assert state("callsign") == "complete"
    assert state("large-v3") == "absent"
    assert state("largest") == "unknown"
    assert state("./no/such/folder") == "unknown"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "Systran--faster-whisper-large-v3").mkdir()
    assert state("large-v3") == "damaged"
