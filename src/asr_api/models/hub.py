"""The model hub: what a repository holds, and its files brought into a folder."""

import fnmatch
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    XetDownloadError,
)
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils.tqdm import tqdm

from asr_api.errors import ModelUnavailable
from asr_api.models.manifest import PATTERNS, FileRecord, Manifest, missing_file
from asr_api.models.progress import OnProgress, Progress
from asr_api.models.storage import publish, require_space, staging_of


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub that speaks Hugging Face's API at `endpoint`; `timeout` is for one answer, in seconds."""

    endpoint: str
    timeout: float

    def install(self, repository: str, target: Path, on_progress: OnProgress) -> str | None:
        """Bring a repository into `target`, which no one else makes, and return its revision.

        The files that a broken-off download had finished are not fetched again. Raises
        ModelUnavailable saying what to do, and OSError where `target` cannot be written.
        """
        listing, staging = self._list(repository), staging_of(target)
        staging.mkdir(exist_ok=True)
        _sweep(staging)
        lacking = [file for file in listing.files if file.fault(staging / file.name, thorough=False)]
        require_space(target.parent, sum(file.size for file in lacking))
        self._fetch(listing, staging, _Meter(listing, lacking, on_progress))
        _verify(listing, staging)
        shutil.rmtree(staging / ".cache", ignore_errors=True)  # huggingface_hub's notes on what to resume
        _measure(listing, staging).write(staging)
        publish(target)
        return listing.revision

    def _list(self, repository: str) -> Manifest:
        with self._explained(repository):
            info = HfApi(endpoint=self.endpoint).model_info(repository, files_metadata=True, timeout=self.timeout)
            files = tuple(_record(file) for file in info.siblings or () if _is_wanted(file.rfilename))
        if missing := missing_file([file.name for file in files]):
            raise ModelUnavailable(
                f"{repository} is not a Whisper in CTranslate2's form, for it has no {missing}: "
                "convert it with `ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json`"
            )
        return Manifest(repository, info.sha, files)

    def _fetch(self, listing: Manifest, staging: Path, meter: "_Meter") -> None:
        with self._explained(listing.repository):
            snapshot_download(
                listing.repository,
                revision=listing.revision,
                endpoint=self.endpoint,
                local_dir=staging,
                allow_patterns=[file.name for file in listing.files],
                etag_timeout=self.timeout,
                tqdm_class=_bars(meter.add),
            )

    @contextmanager
    def _explained(self, repository: str) -> Iterator[None]:
        """The one border where the hub library's errors become ours. An OSError of the disk passes."""
        try:
            yield
        except Exception as error:
            message = self._explain(repository, error)
            if message is None:
                raise
            raise ModelUnavailable(message) from error

    def _explain(self, repository: str, error: Exception) -> str | None:
        match error:
            case HfHubHTTPError():
                return self._refusal(repository, error)
            case OfflineModeIsEnabled():
                return f"HF_HUB_OFFLINE forbids fetching {repository}: unset it"
            case httpx2.ConnectError() | httpx2.TimeoutException():
                return f"{self.endpoint} cannot be reached for {repository}: check the network and ASR_HUB_ENDPOINT"
            case httpx2.UnsupportedProtocol() | httpx2.InvalidURL() | ValueError() | LookupError() | TypeError():
                return f"{self.endpoint} does not answer as a model hub does: check ASR_HUB_ENDPOINT"
            case OSError(errno=int()):
                return None
            case OSError() | httpx2.HTTPError() | XetDownloadError() | RuntimeError():
                return f"the download of {repository} from {self.endpoint} broke off: start again to resume it"
            case _:
                return None

    def _refusal(self, repository: str, error: HfHubHTTPError) -> str:
        status = error.response.status_code
        if isinstance(error, GatedRepoError):
            return f"{repository} is gated: accept its terms at {self.endpoint}/{repository} and set HF_TOKEN"
        if isinstance(error, RepositoryNotFoundError) or status == HTTPStatus.NOT_FOUND:
            return f"{self.endpoint} has no model {repository}: check ASR_MODEL, or set HF_TOKEN if it is private"
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return f"{self.endpoint} refuses {repository} (HTTP {status}): set HF_TOKEN to a token that may read it"
        return f"{self.endpoint} failed on {repository} (HTTP {status}): try again later or check ASR_HUB_ENDPOINT"


class _Meter:
    """Bytes on disk so far, from the threads that fetch, as progress."""

    def __init__(self, listing: Manifest, lacking: list[FileRecord], on_progress: OnProgress) -> None:
        self._model, self._on_progress = listing.repository, on_progress
        self._total = sum(file.size for file in listing.files)
        self._done = self._total - sum(file.size for file in lacking)
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._done = min(self._done + size, self._total)
            self._on_progress(Progress(self._model, "downloading", self._done, self._total))


def _bars(add: Callable[[int], None]) -> type[tqdm]:
    """A silent progress bar that says the bytes written instead of drawing.

    `snapshot_download` makes three bars of the class: bytes from the network, bytes on disk, files.
    """

    class Bar(tqdm):
        def __init__(self, *args: object, **options: object) -> None:
            self._counts = str(options.get("desc")).startswith("Reconstructing")
            super().__init__(*args, **options | {"disable": True})  # type: ignore[no-untyped-call] # tqdm has no types

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts:
                add(int(n or 0))
            return None

    return Bar


def _sweep(staging: Path) -> None:
    """Drop the half-written files of killed runs: huggingface_hub names each anew and never returns to one."""
    for orphan in (staging / ".cache").rglob("*.incomplete"):
        orphan.unlink()


def _is_wanted(name: str) -> bool:
    return "/" not in name and any(fnmatch.fnmatchcase(name, pattern) for pattern in PATTERNS)


def _record(file: RepoSibling) -> FileRecord:
    """The hub knows the SHA-256 of a file in its large-file storage, which the weights always are."""
    if file.size is None:
        raise ValueError(f"the hub tells no size of {file.rfilename}")
    return FileRecord(file.rfilename, file.size, file.lfs.sha256 if file.lfs else None)


def _verify(listing: Manifest, staging: Path) -> None:
    """Raises ModelUnavailable naming the first file that is not as the hub says, and drops that file."""
    for file in listing.files:
        if fault := file.fault(staging / file.name, thorough=True):
            (staging / file.name).unlink(missing_ok=True)
            raise ModelUnavailable(f"{listing.repository} came in damaged, for {fault}: start again to fetch it anew")


def _measure(listing: Manifest, staging: Path) -> Manifest:
    files = tuple(FileRecord.of(staging / file.name) for file in listing.files)
    return Manifest(listing.repository, listing.revision, files)
