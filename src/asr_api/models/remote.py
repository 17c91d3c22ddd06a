"""A repository's files as the hub announces them."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asr_api.models.manifest import FileRecord, Manifest

BLOCK: Final = 1 << 20
"""Bytes read at once."""

BLOB_ID: Final = re.compile(r"[0-9a-f]{40}")


class Digest:
    """The hashes of the bytes that have come so far of a file that is to have `size` bytes."""

    def __init__(self, size: int) -> None:
        self.done = 0
        self._sha256 = hashlib.sha256()
        self._blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)

    def update(self, block: bytes | memoryview) -> None:
        self.done += len(block)
        self._sha256.update(block)
        self._blob.update(block)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def blob_id(self) -> str:
        """Git's name of the content (gitformat-object: SHA-1 of `blob`, the size, a zero byte and the bytes)."""
        return self._blob.hexdigest()


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a revision; the hub tells `sha256` of those in its large-file storage, git's `blob_id` of others."""

    name: str
    url: str
    size: int
    revision: str | None
    sha256: str | None = None
    blob_id: str | None = None

    @property
    def is_hashed(self) -> bool:
        """Whether the hub has told enough to know the content again."""
        return self.sha256 is not None or self._has_blob_id

    def part_in(self, folder: Path) -> Path:
        """Where the file grows. Its name has the content's, so that no other content is ever continued."""
        content = self.sha256 or self.blob_id or self.revision or "unknown"
        return folder / f"{self.name}.{re.sub('[^0-9A-Za-z]', '', content)[:12]}.part"

    def read(self, path: Path) -> Digest:
        """The digest of a file as it is now."""
        digest = Digest(self.size)
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
        return digest

    def fault(self, digest: Digest) -> str | None:
        """What keeps the bytes that came from being the file that was announced, in words that name it."""
        if digest.done != self.size:
            return f"{self.name} has {digest.done} bytes instead of {self.size}"
        if self.sha256 and digest.sha256 != self.sha256:
            return f"{self.name} does not have the SHA-256 {self.sha256}"
        if not self.sha256 and self._has_blob_id and digest.blob_id != self.blob_id:
            return f"{self.name} is not git's blob {self.blob_id}"
        return None

    def record(self, digest: Digest) -> FileRecord:
        return FileRecord(self.name, digest.done, digest.sha256)

    def found_at(self, path: Path) -> FileRecord | None:
        """The record of the file at `path` if it is this one."""
        if not path.is_file() or path.stat().st_size != self.size:
            return None
        digest = self.read(path)
        return None if self.fault(digest) else self.record(digest)

    @property
    def _has_blob_id(self) -> bool:
        return self.blob_id is not None and BLOB_ID.fullmatch(self.blob_id) is not None


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a revision of a repository that a model is made of."""

    repository: str
    revision: str | None
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def announced(self) -> Manifest:
        """What the folder will hold, as far as the hub tells it."""
        records = tuple(FileRecord(file.name, file.size, file.sha256) for file in self.files)
        return Manifest(self.repository, self.revision, records)
