"""From a model's name to a complete folder on this machine."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asr_api.errors import ModelUnavailable
from asr_api.models.catalogue import BASE_REPOSITORY, BUNDLED, REPOSITORIES, repository_of
from asr_api.models.download import PAUSES
from asr_api.models.hub import Hub
from asr_api.models.installed import BUNDLED_FILES, REINSTALL, Assembly, Locate, locate_bundled, locate_installed
from asr_api.models.manifest import Manifest
from asr_api.models.progress import OnProgress, Progress, unheard
from asr_api.models.storage import exclusively, find_fault, folder_of, has_manifest, revision_of

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
    hub_pauses: Sequence[float] = PAUSES,
    thorough: bool = False,
) -> ResolvedModel:
    """The folder of the model that `name` means, made in `model_dir` if need be.

    `name` is `callsign` (in the package), a size of faster-whisper, a local folder or a hub id; a
    folder that is called like a size must be written as a path (`./base`). A size or hub id is
    looked for in `model_dir`, then in installed data packages, then, unless `offline`, on the hub.
    Files are judged by their sizes, and by their SHA-256 if `thorough`, wherever a manifest tells
    them: it does not in an operator's own folder, whose files are judged by their form. Damaged
    files in `model_dir` that came from the hub are fetched anew.
    Safe to call from many threads and processes at once.

    Raises ModelUnavailable with one sentence that says what to do.
    """
    if name == BUNDLED:
        return _bundled(locate, thorough=thorough)
    if folder := local_folder(name):
        return _local(name, folder, thorough=thorough)
    repository = repository_of(name)
    hub = None if offline else Hub(hub_endpoint.rstrip("/"), hub_timeout, hub_pauses)
    kept = _KeptModel(name, repository, folder_of(model_dir, repository), thorough)
    try:
        return kept.resolve(Assembly.of(repository, locate), hub, on_progress or unheard)
    except OSError as error:
        raise ModelUnavailable(
            f"the model {name} cannot be kept in {model_dir} ({error.strerror or error}): "
            "make room and give write access there, or set ASR_MODEL_DIR to another folder",
            param="ASR_MODEL_DIR",
        ) from error


def _bundled(locate: Locate, *, thorough: bool) -> ResolvedModel:
    path = locate_bundled(locate)
    if fault := BUNDLED_FILES.fault(path, thorough=thorough):
        raise ModelUnavailable(f"the bundled model {BUNDLED} is damaged, for {fault}: {REINSTALL}")
    return ResolvedModel(BUNDLED, path, "bundled")


def local_folder(name: str) -> Path | None:
    """The folder that a model's name is the path of, be it there or not; None for a size or a hub id."""
    path = Path(name).expanduser()
    is_path = name.startswith((".", "~")) or path.is_absolute() or path.is_dir()
    return path.absolute() if is_path and name not in REPOSITORIES else None


def _local(name: str, path: Path, *, thorough: bool) -> ResolvedModel:
    if not path.is_dir():
        raise ModelUnavailable(f"there is no folder {path}: check ASR_MODEL", param="ASR_MODEL")
    try:
        fault = find_fault(path, thorough=thorough)
    except OSError as error:
        raise ModelUnavailable(f"{path} cannot be read ({error}): give access, or choose another folder") from error
    if fault and has_manifest(path):
        raise ModelUnavailable(f"{path} is damaged, for {fault}: {_remedy(path)}", param="ASR_MODEL")
    if fault:
        raise ModelUnavailable(
            f"{path} is not a Whisper in CTranslate2's form, for {fault}: mend the file or choose another folder",
            param="ASR_MODEL",
        )
    return ResolvedModel(name, path, "folder", revision_of(path))


def _remedy(folder: Path) -> str:
    """What to do about a damaged folder that this package made once, wherever it was brought since."""
    try:
        manifest = Manifest.read(folder)
    except ValueError:
        manifest = None
    again = f", get it with `asr-api models pull {manifest.repository}` and set ASR_MODEL to that" if manifest else ""
    return f"copy its files anew{again}, or choose another folder"


@dataclass(frozen=True, slots=True)
class _KeptModel:
    """A model that has, or will have, the folder `target` in `model_dir`."""

    name: str
    repository: str
    target: Path
    thorough: bool

    def resolve(self, assembly: Assembly | None, hub: Hub | None, on_progress: OnProgress) -> ResolvedModel:
        found = self._find()
        if isinstance(found, ResolvedModel):
            return found
        if assembly is None and hub is None:
            pull = f"run `asr-api models pull {self.name}` without it"
            raise ModelUnavailable(f"{found} and ASR_OFFLINE forbids the hub: unset it, {pull}, {self._ways_out()}")
        with exclusively(self.target, lambda: on_progress(Progress(self.repository, "waiting", 0, 0))):
            found = self._find()
            return found if isinstance(found, ResolvedModel) else self._install(assembly, hub, on_progress, found)

    def _find(self) -> ResolvedModel | str:
        """The kept model, or what keeps it from being one, in the words that begin a sentence."""
        if not self.target.is_dir():
            return f"the model {self.name} is not in {self.target.parent}"
        fault = find_fault(self.target, thorough=self.thorough)
        if fault is None:
            return ResolvedModel(self.name, self.target, "cache", revision_of(self.target))
        if not has_manifest(self.target):
            raise ModelUnavailable(f"{self.target} is not a complete model, for {fault}: complete or remove it")
        return f"the model {self.name} in {self.target} is damaged, for {fault},"

    def _install(self, assembly: Assembly | None, hub: Hub | None, on_progress: OnProgress, lack: str) -> ResolvedModel:
        if self.target.is_dir():
            logger.warning("%s and is made anew", lack)
        if assembly:
            return ResolvedModel(self.name, self.target, "packages", assembly.install(self.target, on_progress))
        if hub is None:
            raise ModelUnavailable(f"{lack}: {self._ways_out()}")
        try:
            revision = hub.install(self.repository, self.target, on_progress)
        except ModelUnavailable as error:
            raise ModelUnavailable(f"{error.message}, {self._ways_out()}", param=error.param) from error
        return ResolvedModel(self.name, self.target, "hub", revision)

    def _ways_out(self) -> str:
        packages = "install asr-api[base], " if self.repository == BASE_REPOSITORY else ""
        return f"{packages}put its files into {self.target} or set ASR_MODEL to a local folder"
