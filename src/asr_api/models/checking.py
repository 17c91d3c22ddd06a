"""Whether the bytes of the models on this machine are the right ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asr_api.errors import ModelUnavailable
from asr_api.models.catalogue import BUNDLED, repository_of
from asr_api.models.form import fault_of_file
from asr_api.models.installed import BUNDLED_FILES, Assembly, Locate, locate_bundled, locate_installed
from asr_api.models.manifest import MANIFEST, FileRecord, Manifest, missing_file
from asr_api.models.resolve import local_folder
from asr_api.models.storage import folder_of


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One file of a model, read whole; `fault` says what is wrong with it, in words that name it.

    `known` tells whether there was a checksum to compare with.
    """

    model: str
    path: Path
    size: int
    known: bool
    fault: str | None


def check_model(name: str, model_dir: Path, locate: Locate = locate_installed) -> Iterator[FileCheck]:
    """Read every file of an installed model, one at a time: its checksum, and its form.

    `name` is as `resolve_model` takes it. Raises ModelUnavailable where it is none, or nothing of
    it is here, and OSError.
    """
    if name == BUNDLED:
        return _check_files(name, locate_bundled(locate), BUNDLED_FILES)
    folder = local_folder(name)
    if folder:
        return _check_folder(name, folder)
    repository = repository_of(name)
    if (kept := folder_of(model_dir, repository)).is_dir():
        return _check_folder(name, kept)
    if assembly := Assembly.of(repository, locate):
        return _check_parts(name, assembly)
    raise ModelUnavailable(f"the model {name} is not in {model_dir}: get it with `asr-api models pull {name}`")


def _check_folder(name: str, folder: Path) -> Iterator[FileCheck]:
    if not folder.is_dir():
        raise ModelUnavailable(f"there is no folder {folder}: check the name")
    try:
        manifest = Manifest.read(folder)
    except ValueError as error:
        return iter([FileCheck(name, folder / MANIFEST, 0, known=False, fault=str(error))])
    return _check_files(name, folder, manifest or _as_it_is(folder))


def _as_it_is(folder: Path) -> Manifest:
    """What a folder without a manifest has of a model's files, and what it lacks."""
    records = [FileRecord(path.name, path.stat().st_size) for path in sorted(folder.iterdir()) if path.is_file()]
    missing = missing_file([record.name for record in records])
    return Manifest(folder.name, None, tuple([*records, FileRecord(missing, 0)] if missing else records))


def _check_files(name: str, folder: Path, manifest: Manifest) -> Iterator[FileCheck]:
    return (_check(name, folder / record.name, record) for record in manifest.files)


def _check_parts(name: str, assembly: Assembly) -> Iterator[FileCheck]:
    for parts, paths in zip(assembly.model.parts, assembly.paths, strict=True):
        for part, path in zip(parts, paths, strict=True):
            yield _check(name, path, part.record)


def _check(name: str, path: Path, record: FileRecord) -> FileCheck:
    fault = record.fault(path, thorough=True) or fault_of_file(path)
    size = path.stat().st_size if path.exists() else 0
    return FileCheck(name, path, size, record.sha256 is not None, fault)
