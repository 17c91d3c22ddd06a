"""Folders that are there already: the bundled model, an operator's own, and `model_dir`."""

import shutil
from pathlib import Path

import pytest

from asr_api.errors import ModelUnavailable
from asr_api.models.installed import locate_installed
from asr_api.models.resolve import ResolvedModel, resolve_model


def resolve(name: str, model_dir: Path) -> ResolvedModel:
    return resolve_model(name, model_dir=model_dir, hub_endpoint="http://127.0.0.1:9", offline=True)


@pytest.fixture
def callsign() -> Path:
    path = locate_installed("asr_api.models", "callsign")
    assert path is not None
    return path


def test_the_bundled_model_needs_neither_folder_nor_hub(tmp_path: Path, callsign: Path) -> None:
    """`callsign` is the package's own folder, and nothing is written for it."""
    assert resolve("callsign", tmp_path / "models") == ResolvedModel("callsign", callsign, "bundled")
    assert not (tmp_path / "models").exists()


def test_a_bundled_model_that_lost_a_file_is_refused(tmp_path: Path) -> None:
    """A broken installation names the file."""
    with pytest.raises(ModelUnavailable, match=r"bundled model callsign is damaged, for model\.bin is missing"):
        resolve_model("callsign", model_dir=tmp_path, hub_endpoint="", offline=True, locate=lambda *_: tmp_path)


def test_a_local_folder_is_taken_where_it_is(tmp_path: Path, callsign: Path) -> None:
    """A complete folder is used in place."""
    assert resolve(str(callsign), tmp_path) == ResolvedModel(str(callsign), callsign, "folder")


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("model.bin", r"model\.bin"),
        ("config.json", r"config\.json"),
        ("tokenizer.json", r"tokenizer\.json"),
        ("vocabulary.json", r"vocabulary\.json \(or vocabulary\.txt\)"),
    ],
)
def test_a_local_folder_without_a_file_is_refused_by_its_name(
    tmp_path: Path, callsign: Path, lost: str, told: str
) -> None:
    """The operator reads which file the folder lacks."""
    folder = tmp_path / "mine"
    shutil.copytree(callsign, folder)
    (folder / lost).unlink()
    with pytest.raises(ModelUnavailable, match=f"mine is not a Whisper in CTranslate2's form, for {told} is missing"):
        resolve(str(folder), tmp_path)


def test_a_path_to_nothing_is_refused(tmp_path: Path) -> None:
    """A path is never taken for a name."""
    with pytest.raises(ModelUnavailable, match=r"there is no folder .*absent: check ASR_MODEL"):
        resolve(str(tmp_path / "absent"), tmp_path)


def test_a_folder_put_into_model_dir_is_the_model(tmp_path: Path, callsign: Path) -> None:
    """An operator without a network can put the files where the error says."""
    with pytest.raises(ModelUnavailable, match=r"put its files into .*owner--tiny-model"):
        resolve("owner/tiny-model", tmp_path)
    shutil.copytree(callsign, tmp_path / "owner--tiny-model")
    assert resolve("owner/tiny-model", tmp_path).source == "cache"


def test_an_incomplete_folder_of_the_operators_own_is_left_alone(tmp_path: Path, callsign: Path) -> None:
    """What this package did not make it does not replace."""
    folder = tmp_path / "owner--tiny-model"
    shutil.copytree(callsign, folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"for config\.json is missing: complete or remove it"):
        resolve("owner/tiny-model", tmp_path)
    assert (folder / "model.bin").is_file()
