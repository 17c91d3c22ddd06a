"""Model folders on disk: whole or absent, whoever is killed and however many make one at once."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from asr_api.errors import ModelUnavailable
from asr_api.models.form import fault_of_form
from asr_api.models.manifest import MANIFEST, Manifest, missing_file


def folder_of(model_dir: Path, repository: str) -> Path:
    """Where a repository's model is kept. A hub id never has `--`, so no two share a folder."""
    return model_dir / repository.replace("/", "--")


def repository_kept_in(folder: Path) -> str:
    """The repository whose `folder_of` is `folder`."""
    return folder.name.replace("--", "/", 1)


def has_manifest(folder: Path) -> bool:
    """Whether this package made `folder`, here or elsewhere."""
    return (folder / MANIFEST).is_file()


def revision_of(folder: Path) -> str | None:
    """The revision that a folder without fault was made from; None for one that an operator put there."""
    manifest = Manifest.read(folder)
    return manifest.revision if manifest else None


def find_fault(folder: Path, *, thorough: bool = False) -> str | None:
    """What keeps `folder` from being a complete model, in words that name the file; None if nothing does.

    Reads sizes only, and hashes too if `thorough`. A folder without a manifest is judged by the
    names and the form of its files.
    """
    try:
        manifest = Manifest.read(folder)
    except ValueError as error:
        return str(error)
    if manifest is None:
        missing = missing_file([path.name for path in folder.iterdir() if path.is_file()])
        return f"{missing} is missing" if missing else fault_of_form(folder)
    return manifest.fault(folder, thorough=thorough)


def staging_of(target: Path) -> Path:
    """Where `target` is made: beside it, so that a rename finishes it."""
    return target.with_name(f".{target.name}.incomplete")


def target_of(staging: Path) -> Path:
    """What is made at a folder that `staging_of` named."""
    return staging.with_name(staging.name.removeprefix(".").removesuffix(".incomplete"))


@contextmanager
def exclusively(target: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Wait until no other thread or process makes `target`; its death ends its claim. `on_wait` is called if one does.

    What lies at `staging_of(target)` then is a dead run's. Raises OSError where the parent cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def publish(target: Path) -> None:
    """Make the staged folder durable, and then `target` in one step, in the place of a damaged one.

    Raises OSError, with `target` as it was or absent.
    """
    staging, damaged = staging_of(target), target.with_name(f".{target.name}.damaged")
    for path in [*staging.iterdir(), staging]:
        _sync(path)
    shutil.rmtree(damaged, ignore_errors=True)
    if target.exists():
        target.rename(damaged)
    staging.rename(target)
    _sync(target.parent)
    shutil.rmtree(damaged, ignore_errors=True)


def require_space(folder: Path, size: int) -> None:
    """Raises ModelUnavailable where the disk under `folder` has less than `size` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise ModelUnavailable(
            f"{folder} has {free / 1e9:.1f} GB free and the model takes {size / 1e9:.1f} GB: "
            "free some or set ASR_MODEL_DIR to a larger disk",
            param="ASR_MODEL_DIR",
        )


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows has no handle of a folder to flush
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
