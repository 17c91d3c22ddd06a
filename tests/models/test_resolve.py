"""Folders that are there already: the bundled model, an operator's own, and `model_dir`."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from asr_api.errors import ModelUnavailable
from asr_api.models.resolve import ResolvedModel, resolve_model

from .fetching import flip_a_byte, write_manifest


def resolve(name: str, model_dir: Path, *, thorough: bool = False) -> ResolvedModel:
    return resolve_model(name, model_dir=model_dir, hub_endpoint="http://127.0.0.1:9", offline=True, thorough=thorough)


def test_the_bundled_model_needs_neither_folder_nor_hub(tmp_path: Path, callsign: Path) -> None:
    """`callsign` is the package's own folder, and nothing is written for it."""
    assert resolve("callsign", tmp_path / "models") == ResolvedModel("callsign", callsign, "bundled")
    assert not (tmp_path / "models").exists()


def test_a_bundled_model_that_lost_a_file_is_refused(tmp_path: Path) -> None:
    """A broken installation names the file."""
    with pytest.raises(ModelUnavailable, match=r"bundled model callsign is damaged, for model\.bin is missing"):
        resolve_model("callsign", model_dir=tmp_path, hub_endpoint="", offline=True, locate=lambda *_: tmp_path)


def test_a_bundled_model_with_a_changed_byte_is_refused(tmp_path: Path, callsign: Path) -> None:
    """The package's own files are checked as any others."""
    folder = shutil.copytree(callsign, tmp_path / "callsign")
    flip_a_byte(folder / "tokenizer.json")
    with pytest.raises(ModelUnavailable, match=r"callsign is damaged, for tokenizer\.json .* reinstall it"):
        resolve_model(
            "callsign", model_dir=tmp_path, hub_endpoint="", offline=True, locate=lambda *_: folder, thorough=True
        )


def test_the_bundled_model_is_the_one_that_was_measured(tmp_path: Path) -> None:
    """Whoever makes the model anew writes down its files' hashes."""
    assert resolve("callsign", tmp_path, thorough=True).source == "bundled"


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


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        ("model.bin", lambda data: data[:0], "model.bin is cut off after 0 bytes"),
        ("model.bin", lambda data: data[:1_000_000], "model.bin is cut off after 1000000 bytes"),
        ("model.bin", lambda data: data[:3_490_000], "model.bin is cut off after 3490000 bytes"),
        ("model.bin", lambda data: b"<!doctype html>" + data, "model.bin is not in CTranslate2's form"),
        ("model.bin", lambda data: b"version https://git-lfs.github.com/spec/v1", "model.bin is not in CTranslate2's"),
        ("config.json", lambda data: data[:100], "config.json is not JSON"),
        ("tokenizer.json", lambda data: data[:100], "tokenizer.json is not JSON"),
        ("vocabulary.json", lambda data: data[:100], "vocabulary.json is not JSON"),
    ],
)
def test_a_local_folder_with_a_broken_file_is_refused_by_its_name(
    tmp_path: Path, callsign: Path, name: str, spoil: Callable[[bytes], bytes], told: str
) -> None:
    """Without a manifest the form of a file tells that it is cut off, or is another."""
    folder = shutil.copytree(callsign, tmp_path / "mine")
    (folder / name).write_bytes(spoil((folder / name).read_bytes()))
    with pytest.raises(ModelUnavailable, match=f"for {re.escape(told)}.*: mend the file or choose another folder"):
        resolve(str(folder), tmp_path)


def test_old_weights_that_do_not_tell_their_sizes_are_left_to_the_engine(tmp_path: Path, callsign: Path) -> None:
    """What cannot be judged is not refused."""
    folder = shutil.copytree(callsign, tmp_path / "mine")
    (folder / "model.bin").write_bytes(b"\3\0\0\0" + bytes(10))
    assert resolve(str(folder), tmp_path).source == "folder"


def test_a_local_folder_with_a_manifest_is_held_to_it(tmp_path: Path, callsign: Path) -> None:
    """A model that was pulled elsewhere and brought here is checked byte by byte, if asked to."""
    folder = shutil.copytree(callsign, tmp_path / "brought")
    write_manifest(folder)
    assert resolve(str(folder), tmp_path, thorough=True).revision == "a1b2"
    flip_a_byte(folder / "model.bin")
    assert resolve(str(folder), tmp_path).source == "folder"
    with pytest.raises(
        ModelUnavailable, match=r"brought is damaged, for model\.bin .*: copy .*`asr-api models pull owner/name`"
    ):
        resolve(str(folder), tmp_path, thorough=True)
    (folder / "asr-api.json").write_text("{")
    with pytest.raises(ModelUnavailable, match=r"asr-api\.json is damaged: copy its files anew, or choose another"):
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
