"""The model hub: what a repository holds, and its files brought into a folder."""

import contextlib
import fnmatch
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling

from asr_api.errors import ModelUnavailable
from asr_api.models.download import PAUSES, DownloadDamaged, Downloader, DownloadInterrupted
from asr_api.models.manifest import PATTERNS, FileRecord, Manifest, missing_file
from asr_api.models.progress import OnProgress, Progress
from asr_api.models.remote import Listing, RemoteFile
from asr_api.models.storage import publish, require_space, staging_of


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub that speaks Hugging Face's API at `endpoint`; `timeout` is for one answer, in seconds.

    `pauses` are the seconds before each try after a connection that broke.
    """

    endpoint: str
    timeout: float
    pauses: Sequence[float] = PAUSES

    def install(self, repository: str, target: Path, on_progress: OnProgress) -> str | None:
        """Bring a repository into `target`, which no one else makes, and return its revision.

        Whatever a broken-off download brought is continued; of a damaged `target` the good files
        are kept, and its revision where the hub still has it. Raises ModelUnavailable saying what
        to do, and OSError where `target` cannot be written.
        """
        listing, staging = self._list(repository, _revision_of(target)), staging_of(target)
        staging.mkdir(exist_ok=True)
        _sweep(listing, staging)
        listing.announced().write(staging)
        present = {file.name: record for file in listing.files if (record := _reuse(file, staging, target))}
        lacking = [file for file in listing.files if file.name not in present]
        require_space(target.parent, sum(file.size - _size_of(file.part_in(staging)) for file in lacking))
        meter = _Meter(listing, sum(record.size for record in present.values()), on_progress)
        present |= {file.name: self._fetch(listing, file, staging, meter) for file in lacking}
        Manifest(repository, listing.revision, tuple(present[file.name] for file in listing.files)).write(staging)
        publish(target)
        return listing.revision

    def _list(self, repository: str, revision: str | None) -> Listing:
        with self._explained(repository):
            info = self._ask(repository, revision)
            wanted = [file for file in info.siblings or () if _is_wanted(file.rfilename)]
            files = tuple(self._announced(repository, info.sha, file) for file in wanted)
        if missing := missing_file([file.name for file in files]):
            raise ModelUnavailable(
                f"{repository} is not a Whisper in CTranslate2's form, for it has no {missing}: "
                "convert it with `ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json`"
            )
        return Listing(repository, info.sha, files)

    def _ask(self, repository: str, revision: str | None) -> ModelInfo:
        api = HfApi(endpoint=self.endpoint)
        if revision:
            with contextlib.suppress(RevisionNotFoundError):
                return api.model_info(repository, revision=revision, files_metadata=True, timeout=self.timeout)
        return api.model_info(repository, files_metadata=True, timeout=self.timeout)

    def _announced(self, repository: str, revision: str | None, file: RepoSibling) -> RemoteFile:
        if file.size is None:
            raise ValueError(f"the hub tells no size of {file.rfilename}")
        url = hf_hub_url(repository, file.rfilename, revision=revision, endpoint=self.endpoint)
        sha256 = file.lfs.sha256 if file.lfs else None
        return RemoteFile(file.rfilename, url, file.size, revision, sha256, None if sha256 else file.blob_id)

    def _fetch(self, listing: Listing, file: RemoteFile, staging: Path, meter: "_Meter") -> FileRecord:
        with self._explained(listing.repository):
            return Downloader(self.timeout, self.pauses).fetch(file, staging, meter.add)

    @contextmanager
    def _explained(self, repository: str) -> Iterator[None]:
        """The one border where errors of the hub become ours. An OSError of the disk passes."""
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
            case DownloadDamaged():
                return f"{repository} came in damaged, for {error}: start again to fetch it anew"
            case DownloadInterrupted():
                return (
                    f"the download of {repository} from {self.endpoint} broke off in {error.file.name}, with "
                    f"{error.done / 1e6:.1f} of {error.file.size / 1e6:.1f} MB: start again to resume it"
                )
            case OfflineModeIsEnabled():
                return f"HF_HUB_OFFLINE forbids fetching {repository}: unset it"
            case httpx2.ConnectError() | httpx2.TimeoutException():
                return f"{self.endpoint} cannot be reached for {repository}: check the network and ASR_HUB_ENDPOINT"
            case httpx2.UnsupportedProtocol() | httpx2.InvalidURL() | ValueError() | LookupError() | TypeError():
                return f"{self.endpoint} does not answer as a model hub does: check ASR_HUB_ENDPOINT"
            case httpx2.HTTPError():
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
    """Bytes on disk so far, as progress."""

    def __init__(self, listing: Listing, done: int, on_progress: OnProgress) -> None:
        self._listing, self._done, self._on_progress = listing, done, on_progress

    def add(self, size: int) -> None:
        self._done += size
        done = min(self._done, self._listing.size)
        self._on_progress(Progress(self._listing.repository, "downloading", done, self._listing.size))


def _revision_of(target: Path) -> str | None:
    """The revision of a folder that was whole once."""
    try:
        manifest = Manifest.read(target)
    except ValueError:
        return None
    return manifest.revision if manifest else None


def _sweep(listing: Listing, staging: Path) -> None:
    """Drop what is of no use for the listing: files of other revisions, or of other content."""
    useful = {path.name for file in listing.files for path in (staging / file.name, file.part_in(staging))}
    for path in staging.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in useful:
            path.unlink()


def _reuse(file: RemoteFile, staging: Path, target: Path) -> FileRecord | None:
    """The record of a file that is in `staging`, or good in the damaged `target`, and then in both."""
    finished = staging / file.name
    if record := file.found_at(finished):
        return record
    finished.unlink(missing_ok=True)
    record = file.found_at(target / file.name) if file.is_hashed else None
    if record:
        _link(target / file.name, finished)
    return record


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system that has no links
        shutil.copyfile(source, target)


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_wanted(name: str) -> bool:
    return "/" not in name and any(fnmatch.fnmatchcase(name, pattern) for pattern in PATTERNS)
