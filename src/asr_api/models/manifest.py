"""What a model folder must hold: Whisper's files by name, and their sizes and hashes by manifest."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

MANIFEST: Final = "asr-api.json"
PATTERNS: Final = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""The files of a repository that faster-whisper takes (`download_model`, faster-whisper 1.2.1)."""


def missing_file(names: Collection[str]) -> str | None:
    """The first file that a CTranslate2 Whisper cannot do without and `names` lack.

    faster-whisper would fetch an absent `tokenizer.json` from the hub at load time; a service that
    must start without a network asks for it.
    """
    for name in ("model.bin", "config.json", "tokenizer.json"):
        if name not in names:
            return name
    return None if {"vocabulary.json", "vocabulary.txt"} & set(names) else "vocabulary.json (or vocabulary.txt)"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file as it must be; `sha256` in lower-case hexadecimal, None where nobody has said it."""

    name: str
    size: int
    sha256: str | None = None

    @classmethod
    def of(cls, path: Path) -> Self:
        """The record of a file as it is now; reads it whole."""
        with path.open("rb") as file:
            return cls(path.name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())

    def fault(self, path: Path, *, thorough: bool) -> str | None:
        """What is wrong with the file at `path`, in words that name it; its hash is read if `thorough`."""
        if not path.is_file():
            return f"{self.name} is missing"
        if (size := path.stat().st_size) != self.size:
            return f"{self.name} has {size} bytes instead of {self.size}"
        if thorough and self.sha256 and FileRecord.of(path).sha256 != self.sha256:
            return f"{self.name} does not have the SHA-256 {self.sha256}"
        return None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a model folder that this package made, and the revision of the hub they are."""

    repository: str
    revision: str | None
    files: tuple[FileRecord, ...]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The manifest in `folder`; None where there is none. Raises ValueError where it cannot be read."""
        path = folder / MANIFEST
        if not path.is_file():
            return None
        try:
            fields = json.loads(path.read_bytes())
            return cls(fields["repository"], fields["revision"], tuple(FileRecord(**file) for file in fields["files"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{MANIFEST} is damaged") from error

    def write(self, folder: Path) -> None:
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    def fault(self, folder: Path, *, thorough: bool = False) -> str | None:
        """What is wrong with the files in `folder`; only their sizes are looked at unless `thorough`."""
        faults = (record.fault(folder / record.name, thorough=thorough) for record in self.files)
        return next((fault for fault in faults if fault), None)
