"""From a model's name to a complete folder on this machine."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asr_api.errors import ModelUnavailable
from asr_api.models.catalogue import BASE_REPOSITORY, BUNDLED, REPOSITORIES, repository_of
from asr_api.models.hub import Hub
from asr_api.models.installed import Assembly, Locate, locate_installed
from asr_api.models.manifest import MANIFEST
from asr_api.models.progress import OnProgress, unheard
from asr_api.models.storage import exclusively, find_fault, folder_of, revision_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model's folder in faster-whisper's form, complete when it was looked at.

    `name` is as it was asked for, `source` where the folder came from on this call, and `revision`
    the hub's commit, where it is known.
    """

    name: str
    path: Path
    source: Literal["folder", "bundled", "cache", "packages", "hub"]
    revision: str | None = None


def resolve_model(
    name: str,
    *,
    model_dir: Path,
    hub_endpoint: str,
    offline: bool,
    on_progress: OnProgress | None = None,
    locate: Locate = locate_installed,
    hub_timeout: float = 10.0,
    thorough: bool = False,
) -> ResolvedModel:
    """The folder of the model that `name` means, made in `model_dir` if need be.

    `name` is `callsign` (in the package), a size of faster-whisper, a local folder or a hub id; a
    folder that is called like a size must be written as a path (`./base`). A size or hub id is
    looked for in `model_dir`, then in installed data packages, then, unless `offline`, on the hub.
    A folder in `model_dir` is judged by the sizes of its files, and by their SHA-256 if `thorough`.
    Safe to call from many threads and processes at once.

    Raises ModelUnavailable with one sentence that says what to do.
    """
    if name == BUNDLED:
        return _bundled(locate)
    if name not in REPOSITORIES and _is_folder(name):
        return _local(name)
    repository = repository_of(name)
    hub = None if offline else Hub(hub_endpoint.rstrip("/"), hub_timeout)
    kept = _KeptModel(name, repository, folder_of(model_dir, repository), thorough)
    try:
        return kept.resolve(Assembly.of(repository, locate), hub, on_progress or unheard)
    except OSError as error:
        raise ModelUnavailable(
            f"the model {name} cannot be kept in {model_dir} ({error.strerror or error}): "
            "make room and give write access there, or set ASR_MODEL_DIR to another folder",
            param="ASR_MODEL_DIR",
        ) from error


def _bundled(locate: Locate) -> ResolvedModel:
    path = locate("asr_api.models", BUNDLED)
    fault = find_fault(path) if path else "its folder is missing"
    if path is None or fault:
        raise ModelUnavailable(f"the bundled model {BUNDLED} is damaged, for {fault}: reinstall asr-api")
    return ResolvedModel(BUNDLED, path, "bundled")


def _is_folder(name: str) -> bool:
    path = Path(name).expanduser()
    return name.startswith((".", "~")) or path.is_absolute() or path.is_dir()


def _local(name: str) -> ResolvedModel:
    path = Path(name).expanduser().absolute()
    if not path.is_dir():
        raise ModelUnavailable(f"there is no folder {path}: check ASR_MODEL", param="ASR_MODEL")
    if fault := find_fault(path):
        raise ModelUnavailable(
            f"{path} is not a Whisper in CTranslate2's form, for {fault}: add the file or choose another folder",
            param="ASR_MODEL",
        )
    return ResolvedModel(name, path, "folder", revision_of(path))


@dataclass(frozen=True, slots=True)
class _KeptModel:
    """A model that has, or will have, the folder `target` in `model_dir`."""

    name: str
    repository: str
    target: Path
    thorough: bool

    def resolve(self, assembly: Assembly | None, hub: Hub | None, on_progress: OnProgress) -> ResolvedModel:
        if found := self._find():
            return found
        if assembly is None and hub is None:
            raise ModelUnavailable(f"{self._lack()} and ASR_OFFLINE forbids the hub: unset it, {self._ways_out()}")
        with exclusively(self.target):
            return self._find() or self._install(assembly, hub, on_progress)

    def _find(self) -> ResolvedModel | None:
        if not self.target.is_dir():
            return None
        fault = find_fault(self.target, thorough=self.thorough)
        if fault is None:
            return ResolvedModel(self.name, self.target, "cache", revision_of(self.target))
        if not (self.target / MANIFEST).is_file():
            raise ModelUnavailable(f"{self.target} is not a complete model, for {fault}: complete or remove it")
        return None

    def _install(self, assembly: Assembly | None, hub: Hub | None, on_progress: OnProgress) -> ResolvedModel:
        if self.target.is_dir():
            logger.warning("%s is made anew, for %s", self.target, find_fault(self.target, thorough=self.thorough))
        if assembly:
            return ResolvedModel(self.name, self.target, "packages", assembly.install(self.target, on_progress))
        if hub is None:
            raise ModelUnavailable(f"{self._lack()}: {self._ways_out()}")
        try:
            revision = hub.install(self.repository, self.target, on_progress)
        except ModelUnavailable as error:
            raise ModelUnavailable(f"{error.message}, {self._ways_out()}", param=error.param) from error
        return ResolvedModel(self.name, self.target, "hub", revision)

    def _lack(self) -> str:
        if self.target.is_dir():
            return f"the model {self.name} in {self.target} is damaged, for {find_fault(self.target, thorough=True)},"
        return f"the model {self.name} is not in {self.target.parent}"

    def _ways_out(self) -> str:
        packages = "install asr-api[base], " if self.repository == BASE_REPOSITORY else ""
        return f"{packages}put its files into {self.target} or set ASR_MODEL to a local folder"
