"""The front end of a service: files are prepared in the pool's workers, what is ahead waits in the spool."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

from asr_api.audio.backlog import Backlog, Parking
from asr_api.audio.messages import Order
from asr_api.audio.pool import DecodePool
from asr_api.audio.recording import Recording
from asr_api.transcription import AudioOptions

MAX_HELD = 4 << 20
"""Bytes of features of one file in memory: some five chunks. The others wait on disk."""


@dataclass(frozen=True, slots=True)
class ConfinedFrontEnd:
    """`n_mels` is the model's, `threshold` the speech probability where a request names none."""

    pool: DecodePool
    parking: Callable[[], Parking]
    n_mels: int
    max_seconds: float
    threshold: float

    @asynccontextmanager
    async def open(self, upload: BinaryIO, options: AudioOptions) -> AsyncIterator[Recording]:
        """The chunks of a file, once it is known to be audio. Raises InvalidAudio, on entering or later."""
        threshold = self.threshold if options.threshold is None else options.threshold
        order = Order(
            options=replace(options, threshold=threshold),
            n_mels=self.n_mels,
            max_seconds=self.max_seconds,
            descriptor=False,
        )
        async with self.pool.prepare(upload, order, Backlog(self.parking(), MAX_HELD)) as recording:
            yield recording
