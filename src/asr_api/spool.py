"""What does not fit in memory waits in files without names, within a budget of bytes."""

import io
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from asr_api.errors import StartupError, StorageFull
from asr_api.metrics import Metrics

if TYPE_CHECKING:
    from typing_extensions import Buffer  # in `collections.abc` from Python 3.12 on

logger = logging.getLogger(__name__)

MAX_MEMORY = 1 << 20
"""Bytes of a file that stay in memory."""

NEARLY_FULL = 0.9
"""The share of the budget above which the service should get no more work."""

RETRY_AFTER = 10.0
"""Seconds after which a refused client may try again."""

PREFIX, SUFFIX = "asr-api-", ".spool"
STALE_SECONDS = 60.0
"""Age of a named file that is nobody's: a process unlinks its own right after it made them."""


class Spool:
    """The files of one process in `directory`, which hold `capacity` bytes at most, all together.

    A file has no name (O_TMPFILE) or loses it right after its creation, so that nothing is left
    however the process ends, and several processes may share the folder. Any thread may call.
    """

    def __init__(self, directory: Path, capacity: int, metrics: Metrics) -> None:
        self.directory = directory
        self.capacity = capacity
        self._used = 0
        self._files = 0
        self._lock = threading.Lock()
        metrics.front_end.watch_spool(capacity, lambda: self._used, lambda: self._files)

    @property
    def used(self) -> int:
        """Bytes that wait on disk, counted before they are written."""
        return self._used

    @property
    def files(self) -> int:
        """Files that wait on disk."""
        return self._files

    @property
    def nearly_full(self) -> bool:
        """Whether more than nine tenths of the budget are taken; never, where there is no budget."""
        return self._used > NEARLY_FULL * self.capacity

    def open(self) -> None:
        """Make the folder, for the owner alone, and take away what a killed process left in it.

        Raises StartupError where no file can be made there.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            self.create().close()
        except OSError as error:
            raise StartupError(
                f"no file can be made in {self.directory}: {_reason(error)}; choose another folder with --spool-dir"
            ) from error

    def file(self, max_memory: int = MAX_MEMORY) -> "SpooledFile":
        """An empty file that the caller closes; its first `max_memory` bytes stay in memory."""
        return SpooledFile(self, max_memory)

    def create(self) -> IO[bytes]:
        """A nameless file on disk, for its owner alone; book what is written to it. Raises OSError."""
        return tempfile.TemporaryFile(buffering=0, dir=self.directory, prefix=PREFIX, suffix=SUFFIX)

    def book(self, size: int, *, files: int = 0) -> None:
        """Count bytes that are about to be written. Raises StorageFull where the budget has no room for them."""
        with self._lock:
            if self._used + size > self.capacity:
                raise StorageFull(
                    f"no room on disk: {self._used} bytes wait there and {self.capacity} may (max_spool_bytes)",
                    retry_after=RETRY_AFTER,
                )
            self._used += size
            self._files += files

    def unbook(self, size: int, *, files: int = 0) -> None:
        """Give back what `book` counted."""
        with self._lock:
            self._used -= size
            self._files -= files

    def _sweep(self) -> None:
        """Unlink old regular files with names of ours; links are neither followed nor touched."""
        with os.scandir(self.directory) as entries:
            for entry in entries:
                if _is_stale(entry):
                    with suppress(OSError):  # another user's, or another process was quicker
                        os.unlink(entry.path)
                        logger.info("swept", extra={"file": entry.name})


class SpooledFile(io.BufferedIOBase):
    """A binary file that is in memory until it outgrows `max_memory` bytes, and then in the spool.

    Reading and seeking are as with any file. A write that finds no room raises StorageFull; what
    was written before stays. Any thread may close it: whatever another is writing ends first.
    What was written may be read through `fileno()` as soon as `write` returned.
    """

    def __init__(self, spool: Spool, max_memory: int) -> None:
        self._spool = spool
        self._max_memory = max_memory
        self._file = in_memory() if max_memory else io.BytesIO()
        self._on_disk = False
        self._booked = 0
        self._lock = threading.RLock()

    @property
    def on_disk(self) -> bool:
        """Whether reading and writing touch the disk."""
        return self._on_disk

    def fits(self, size: int) -> bool:
        """Whether writing so many bytes more touches no disk."""
        return not self._on_disk and self._file.tell() + size <= self._max_memory

    def write(self, data: "Buffer", /) -> int:
        """Write all of `data`. Raises StorageFull, and ValueError where the file is closed."""
        with self._lock:
            size = memoryview(data).nbytes
            if self.fits(size):
                write_out(self._file, data)
                return size
            with self._told():
                self._move()
                self._append(data, self._file.tell() + size)
            return size

    def read(self, size: int | None = -1, /) -> bytes:
        with self._lock:
            return self._file.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        with self._lock:
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        with self._lock:
            return self._file.tell()

    def fileno(self) -> int:
        """The descriptor of the file. Raises io.UnsupportedOperation while it is in memory that has none."""
        return self._file.fileno()

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """Let go of the bytes, in memory or on disk."""
        with self._lock:
            if self.closed:
                return
            super().close()
            with suppress(OSError):  # what could not be written cannot be flushed either
                self._file.close()
            self._spool.unbook(self._booked, files=int(self._on_disk))

    def _move(self) -> None:
        """From memory to disk, if it is not there yet."""
        if self._on_disk:
            return
        memory = self._file
        position, size = memory.tell(), memory.seek(0, os.SEEK_END)
        memory.seek(position)
        self._spool.book(size, files=1)
        try:
            disk = self._spool.create()
            memory.seek(0)
            write_out(disk, memory.read())
        except OSError:
            self._spool.unbook(size, files=1)
            memory.seek(position)
            raise
        disk.seek(position)
        memory.close()
        self._file, self._on_disk, self._booked = disk, True, size

    def _append(self, data: "Buffer", end: int) -> None:
        """Write to the disk up to `end`, or, where that fails, nothing."""
        position, booked = self._file.tell(), self._booked
        if end > booked:
            self._spool.book(end - booked)
            self._booked = end
        try:
            write_out(self._file, data)
        except OSError:
            self._file.truncate(booked)
            self._file.seek(position)
            self._spool.unbook(self._booked - booked)
            self._booked = booked
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            logger.warning("the spool cannot be written", extra={"reason": _reason(error)})
            raise StorageFull(
                f"the disk of the spool (spool_dir, max_spool_bytes {self._spool.capacity}) "
                f"takes no more: {_reason(error)}",
                retry_after=RETRY_AFTER,
            ) from error


def in_memory() -> IO[bytes]:
    """An empty file in memory, with a descriptor by which another process can be handed it without a copy; without
    one where the system has no such files, or no descriptor to spare.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            return os.fdopen(os.memfd_create("asr-api upload", os.MFD_CLOEXEC), "r+b", buffering=0)
    return io.BytesIO()


def write_out(file: IO[bytes], data: "Buffer") -> None:
    """Write all of `data` to a file without a buffer, which may take less at a time."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[file.write(rest) :]


def _is_stale(entry: "os.DirEntry[str]") -> bool:
    if not (entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False)):
        return False
    with suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_SECONDS
    return False


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
