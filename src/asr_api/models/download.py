"""A file brought from the hub over HTTP, continued where an earlier run or connection left it."""

import re
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final, NoReturn

import httpx2
from huggingface_hub import get_session, hf_raise_for_status
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined] # its list of names is made at run time

from asr_api.models.manifest import FileRecord
from asr_api.models.remote import BLOCK, Digest, RemoteFile

PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each try after a failed one; the count begins anew when at least `BLOCK` bytes came."""

PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which a second try may succeed (huggingface_hub retries the same)."""

OnBytes = Callable[[int], None]
"""Called with the bytes that came on disk; fewer than none where they had to go again."""


class DownloadInterrupted(Exception):
    """The connection broke too often. What came of the file is kept for the next time."""

    def __init__(self, file: RemoteFile, done: int) -> None:
        super().__init__(file.name)
        self.file, self.done = file, done


class DownloadDamaged(Exception):
    """The bytes that came are not the file that was announced, and are gone again; says which, and how."""


@dataclass(frozen=True, slots=True)
class Downloader:
    """`timeout`, in seconds, is for a connection and for each wait for bytes; `pauses` come between tries."""

    timeout: float
    pauses: Sequence[float] = PAUSES

    def fetch(self, file: RemoteFile, folder: Path, on_bytes: OnBytes) -> FileRecord:
        """Bring a file whole into `folder`, which no one else writes.

        The hub's token goes to the hub's own host only. Raises DownloadInterrupted,
        DownloadDamaged, HfHubHTTPError for a lasting refusal, and OSError of the disk. However it
        ends, a process that is killed included, what came is there to be continued.
        """
        with closing(_Part(file, folder, on_bytes)) as part:
            self._fill(part)
            return part.finish(folder / file.name)

    def _fill(self, part: "_Part") -> None:
        pauses, reached = iter(self.pauses), part.size
        while not part.is_full:
            try:
                self._continue(part)
            except (HfHubHTTPError, httpx2.TransportError) as error:
                if part.size >= reached + BLOCK:
                    pauses, reached = iter(self.pauses), part.size
                _wait(error, next(pauses, None), part)

    def _continue(self, part: "_Part") -> None:
        """One request for what is missing."""
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if part.size:
            headers["Range"] = f"bytes={part.size}-"
        with get_session().stream("GET", part.file.url, headers=headers, timeout=self.timeout) as response:
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.size:
                part.restart()
                return
            hf_raise_for_status(response)
            if (first := _first_byte(response)) != part.size:
                part.restart()
            if first != part.size:
                raise httpx2.RemoteProtocolError("another range than was asked for")
            part.take(response)


class _Part:
    """What is on disk of a file that is under way, and its digest."""

    def __init__(self, file: RemoteFile, folder: Path, on_bytes: OnBytes) -> None:
        self.file = file
        self._path, self._on_bytes = file.part_in(folder), on_bytes
        self._stream = self._path.open("ab", buffering=0)  # what came must not die with the process
        self._digest = file.read(self._path)
        on_bytes(self.size)
        if self.size > file.size:
            self.restart()

    @property
    def size(self) -> int:
        return self._digest.done

    @property
    def is_full(self) -> bool:
        return self.size == self.file.size

    def take(self, response: httpx2.Response) -> None:
        """Append a body to what came. Raises DownloadDamaged where the file is shorter or longer than announced."""
        for block in response.iter_raw():
            self._write(block)
            if self.size > self.file.size:
                break
        if self.size < self.file.size and not {"content-length", "transfer-encoding"} & response.headers.keys():
            raise httpx2.RemoteProtocolError("a body without a length ended early")
        if not self.is_full:
            self._refuse()

    def restart(self) -> None:
        self._on_bytes(-self.size)
        self._stream.truncate(0)
        self._digest = Digest(self.file.size)

    def finish(self, target: Path) -> FileRecord:
        """Give the file its name. Raises DownloadDamaged where it has not the hash that was announced."""
        if self.file.fault(self._digest):
            self._refuse()
        self._path.replace(target)
        return self.file.record(self._digest)

    def close(self) -> None:
        self._stream.close()

    def _write(self, block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            written = rest[: self._stream.write(rest)]
            self._digest.update(written)
            rest = rest[len(written) :]
        self._on_bytes(len(block))

    def _refuse(self) -> NoReturn:
        fault = self.file.fault(self._digest)
        self._on_bytes(-self.size)
        self._path.unlink()
        raise DownloadDamaged(fault)


def _first_byte(response: httpx2.Response) -> int:
    """Where in the file the body begins; 0 too for a server that knows no ranges."""
    span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(span[1]) if span and response.status_code == HTTPStatus.PARTIAL_CONTENT else 0


def _wait(error: HfHubHTTPError | httpx2.TransportError, pause: float | None, part: "_Part") -> None:
    """Let a passing failure pass; raise what will not, and what did not in time."""
    if isinstance(error, HfHubHTTPError) and (error.response.status_code not in PASSING or pause is None):
        raise error
    if pause is None:
        raise DownloadInterrupted(part.file, part.size) from error
    time.sleep(pause)
