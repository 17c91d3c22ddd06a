"""The chunks of one file between its decoder and the engine: few in memory, the rest on disk."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

from asr_api.errors import StorageFull
from asr_api.transcription import ChunkPlace, FeatureChunk

Value = TypeVar("Value")


class Parking(Protocol):
    """A file of the spool's. `write` raises StorageFull where the budget does not allow it."""

    def write(self, data: bytes) -> int: ...
    def read(self, size: int) -> bytes: ...
    def seek(self, offset: int) -> int: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Parked:
    """A chunk whose features lie at `position` of the spool file."""

    place: ChunkPlace
    shape: tuple[int, ...]
    position: int


class Backlog:
    """First in, first out, for one that puts and one that takes.

    Decoding is a hundred times as fast as transcribing. So that a worker is soon free for the next
    file, what exceeds `max_bytes` of features waits in `file`, and only where that is full
    does `put` wait until some were taken.
    """

    def __init__(self, file: Parking, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._chunks: deque[FeatureChunk | Parked] = deque()
        self._held = self._end = 0
        self._disk = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._at_disk: set[asyncio.Task[object]] = set()
        self._ended = self._closed = False
        self._error: BaseException | None = None

    async def put(self, chunk: FeatureChunk) -> None:
        """Without effect once it has ended."""
        size = chunk.features.nbytes
        entry: FeatureChunk | Parked = chunk
        if self._held + size > self._max_bytes and not self._ended:
            entry = await self._park(chunk) or chunk
        async with self._changed:
            if entry is chunk:
                await self._changed.wait_for(
                    lambda: self._ended or not self._held or self._held + size <= self._max_bytes
                )
                self._held += size
            if not self._ended:
                self._chunks.append(entry)
            self._changed.notify_all()

    async def end(self, error: BaseException | None = None) -> None:
        """Nothing more comes; an error is raised at once by `take`, whatever still waits."""
        async with self._changed:
            self._ended, self._error = True, self._error or error
            self._changed.notify_all()

    async def take(self) -> FeatureChunk | None:
        """The next chunk, None after the last. Raises the error that the other side ended with."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._chunks or self._ended)
            if self._error is not None:
                raise self._error
            if not self._chunks:
                return None
            entry = self._chunks.popleft()
            if isinstance(entry, FeatureChunk):
                self._held -= entry.features.nbytes
                self._changed.notify_all()
                return entry
        return await self._fetch(entry)

    async def close(self) -> None:
        """Let go of what still waits; what is put from now on is dropped."""
        await self.end()
        self._chunks.clear()
        async with self._disk:  # a thread of a cancelled call may still be at the file
            self._closed = True
            self._file.close()

    async def _park(self, chunk: FeatureChunk) -> Parked | None:
        """None where there is no room on disk, or no need to wait there."""
        data = chunk.features.tobytes()
        parked = Parked(chunk.place, chunk.features.shape, self._end)
        try:
            written = await self._on_disk(partial(self._write, parked.position, data))
        except StorageFull:
            return None
        self._end += len(data)
        return parked if written else None

    async def _fetch(self, parked: Parked) -> FeatureChunk:
        data = await self._on_disk(partial(self._read, parked))
        if data is None:
            raise ValueError("the backlog is closed")
        return FeatureChunk(parked.place, np.frombuffer(data, np.float16).reshape(parked.shape))

    async def _on_disk(self, work: Callable[[], Value]) -> Value | None:
        """One at a time, in a thread, to its end even if the caller is cancelled; nothing once it is closed."""

        async def alone() -> Value | None:
            async with self._disk:
                return None if self._closed else await asyncio.to_thread(work)

        task = asyncio.create_task(alone())
        self._at_disk.add(task)
        task.add_done_callback(self._at_disk.discard)
        return await asyncio.shield(task)

    def _write(self, position: int, data: bytes) -> int:
        self._file.seek(position)
        return self._file.write(data)

    def _read(self, parked: Parked) -> bytes:
        self._file.seek(parked.position)
        return self._file.read(2 * math.prod(parked.shape))
