"""One file on its way through a worker: what is asked, what was said so far, and its end."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterable
from itertools import chain, pairwise

import numpy as np

from asr_api.audio.backlog import Backlog
from asr_api.audio.messages import Chunk, Done, Opened, Progress, Refused, Reply
from asr_api.audio.process import WorkerLost, WorkerProcess
from asr_api.errors import InvalidAudio
from asr_api.transcription import CHUNK_SECONDS, SAMPLE_RATE, ChunkPlace, FeatureChunk, Span

FRAMES = 100 * CHUNK_SECONDS
"""Log-mel frames of a chunk at most."""


class Recording:
    """The chunks of one file, to be iterated over while it is still being decoded.

    `claimed_seconds` is what the file says of its own length, at most `max_seconds`: a lie must not
    book more than an honest file could, and keep others out; `work` the seconds of chunks so far;
    `seconds` the length of its audio, None until all of it was decoded. Iteration raises InvalidAudio
    as soon as the file turns out bad.
    """

    def __init__(self, backlog: Backlog, max_seconds: float) -> None:
        self._backlog = backlog
        self._max_seconds = max_seconds
        self._began, self._ended = time.monotonic(), 0.0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.claimed_seconds: float | None = None
        self.seconds: float | None = None
        self.work = 0.0
        self.ended = False
        self.error: Exception | None = None

    @property
    def elapsed(self) -> float:
        """Seconds from the request to the end of the file, with what it waited for a worker."""
        return (self._ended if self.ended else time.monotonic()) - self._began

    async def __aiter__(self) -> AsyncIterator[FeatureChunk]:
        while (chunk := await self._backlog.take()) is not None:
            yield chunk

    async def listen(self, worker: WorkerProcess, n_mels: int, patience: float) -> None:
        """Hear a worker out.

        Raises WorkerLost where the worker says nothing for so many seconds, or nonsense.
        """
        while not self.ended:
            await self._take_in(*await worker.receive(patience), n_mels)

    async def _take_in(self, reply: Reply, payload: bytearray, n_mels: int) -> None:
        match reply:
            case Opened(claimed):
                if claimed is not None and claimed > 0:
                    self.claimed_seconds = min(claimed, self._max_seconds)
                self._open()
            case Progress():
                pass
            case Chunk():
                await self._put(features_of(reply, payload, n_mels))
            case Refused(message, code):
                await self.end(InvalidAudio(message, code=code, param="file"))
            case Done(seconds):
                self.seconds = seconds
                await self.end()
            case _:
                raise WorkerLost("protocol")

    async def end(self, error: Exception | None = None) -> None:
        """Nothing more comes, because all was said or because of an error."""
        self.ended, self.error, self._ended = True, error, time.monotonic()
        self._open(error)
        await self._backlog.end(error)

    def _open(self, error: Exception | None = None) -> None:
        if self.opened.done():
            return
        if error is None:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(error)
            self.opened.exception()  # there may be nobody who waits for it

    async def _put(self, chunk: FeatureChunk) -> None:
        self.work += chunk.place.duration
        await self._backlog.put(chunk)


def features_of(chunk: Chunk, payload: bytes | bytearray, n_mels: int) -> FeatureChunk:
    """The chunk with its features. Raises WorkerLost where the worker's numbers cannot be."""
    sane = chunk.offset >= 0 and 0 < chunk.length <= CHUNK_SECONDS * SAMPLE_RATE and math.isfinite(chunk.voiced)
    whole = 0 < chunk.frames <= FRAMES and len(payload) == 2 * n_mels * chunk.frames
    if not (sane and whole and _in_order(chunk.speech, chunk.length)):
        raise WorkerLost("protocol")
    features = np.frombuffer(payload, np.float16).reshape(n_mels, chunk.frames)
    return FeatureChunk(ChunkPlace(chunk.offset, chunk.length, chunk.voiced, chunk.speech), features)


def _in_order(spans: Iterable[Span], length: int) -> bool:
    edges = [0, *chain.from_iterable(spans), length]
    return all(one <= other for one, other in pairwise(edges))
