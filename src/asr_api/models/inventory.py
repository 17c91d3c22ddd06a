"""What models are on this machine, whole or not."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from asr_api.models.catalogue import BUNDLED, REPOSITORIES
from asr_api.models.installed import BASE, BUNDLED_FILES, Assembly, Locate, locate_bundled, locate_installed
from asr_api.models.manifest import MANIFEST, Manifest
from asr_api.models.storage import find_fault, repository_kept_in, staging_of, target_of

State = Literal["complete", "incomplete", "damaged", "in packages", "absent"]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model, by all its names; `size` in bytes on disk, and `total` as it will be, where that is known.

    `fault` says what is damaged, in words that name the file. `path` is None for what has no
    folder yet.
    """

    names: tuple[str, ...]
    repository: str | None
    revision: str | None
    path: Path | None
    size: int
    total: int | None
    state: State
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """The models in the package, in data packages and in `model_dir`."""

    model_dir: Path
    locate: Locate = locate_installed

    def entries(self) -> list[ModelEntry]:
        """Each model that is here, whole or not, judged by the sizes of its files. Raises OSError."""
        folders = [path for path in sorted(self.model_dir.glob("*--*")) if path.is_dir()]
        kept = [self._kept(path) for path in folders if not path.name.startswith(".")]
        here = {entry.repository for entry in kept}
        begun = [self._begun(path) for path in folders if path == staging_of(target_of(path))]
        found = [self._bundled(), *kept, *(entry for entry in begun if entry.repository not in here)]
        if BASE.manifest.repository not in here and Assembly.of(BASE.manifest.repository, self.locate):
            found.append(_entry(BASE.manifest.repository, BASE.manifest, None, _total(BASE.manifest), "in packages"))
        return found

    def known(self) -> list[ModelEntry]:
        """The entries, and with them every model that has a name of its own and is not here."""
        found = self.entries()
        here = {entry.repository for entry in found}
        absent = [repository for repository in _names_by_repository() if repository not in here]
        return [*found, *(_entry(repository, None, None, 0, "absent") for repository in absent)]

    def _bundled(self) -> ModelEntry:
        path = locate_bundled(self.locate)
        fault = BUNDLED_FILES.fault(path)
        entry = ModelEntry((BUNDLED,), None, None, path, _size_of(path), _total(BUNDLED_FILES), "complete")
        return replace(entry, state="damaged", fault=fault) if fault else entry

    def _kept(self, folder: Path) -> ModelEntry:
        entry = _entry(repository_kept_in(folder), _manifest_of(folder), folder, _size_of(folder), "complete")
        fault = find_fault(folder)
        return replace(entry, state="damaged", fault=fault) if fault else entry

    def _begun(self, staging: Path) -> ModelEntry:
        return _entry(
            repository_kept_in(target_of(staging)), _manifest_of(staging), None, _size_of(staging), "incomplete"
        )


def _names_by_repository() -> Mapping[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for name, repository in REPOSITORIES.items():
        names[repository].append(name)
    return names


def _entry(repository: str, manifest: Manifest | None, path: Path | None, size: int, state: State) -> ModelEntry:
    names = tuple(_names_by_repository().get(repository, [])) or (repository,)
    revision, total = (manifest.revision, _total(manifest)) if manifest else (None, None)
    return ModelEntry(names, repository, revision, path, size, total, state)


def _manifest_of(folder: Path) -> Manifest | None:
    try:
        return Manifest.read(folder)
    except ValueError:
        return None


def _total(manifest: Manifest) -> int:
    return sum(record.size for record in manifest.files)


def _size_of(folder: Path) -> int:
    """The bytes of a model's files, whole or not."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
