"""Features that two processes see: memory without a name, so that nothing of it can be left behind."""

import contextlib
import fcntl
import mmap
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from asr_api.spectrogram import FRAMES, Features


@dataclass(frozen=True, slots=True)
class ArenaShape:
    """Room for `chunks` spectrograms of 30 s and `n_mels` bands."""

    chunks: int
    n_mels: int

    @property
    def size(self) -> int:
        """In bytes."""
        return 2 * self.chunks * self.n_mels * FRAMES


class Arena:
    """The features of one engine call at a time, as the front end made them: of float16, each as long as its chunk.

    `descriptor` is the memory.
    """

    def __init__(self, descriptor: int, shape: ArenaShape) -> None:
        self.descriptor = descriptor
        self.shape = shape
        self._map = mmap.mmap(descriptor, shape.size)
        self._rows = np.frombuffer(self._map, np.float16).reshape(shape.chunks, -1)

    @classmethod
    def create(cls, shape: ArenaShape) -> Self:
        """New memory, whose pages are taken as they are first written. Raises OSError, or ValueError for no size."""
        descriptor = nameless_memory(shape.size)
        try:
            return cls(descriptor, shape)
        except BaseException:
            os.close(descriptor)
            raise

    def put(self, spectrograms: Sequence[Features], most: int = FRAMES) -> None:
        """Write the features of a call, of `most` frames each at most.

        Raises ValueError where there are more than `chunks`, or one of another shape.
        """
        self._check(spectrograms, min(most, FRAMES))
        for features, heard in zip(self.views([one.shape[1] for one in spectrograms]), spectrograms, strict=True):
            features[...] = heard

    def _check(self, spectrograms: Sequence[Features], most: int) -> None:
        """Apart from `put`, so that no error's traceback holds a view."""
        if len(spectrograms) > self.shape.chunks:
            raise ValueError(f"{len(spectrograms)} chunks do not fit in an arena for {self.shape.chunks}")
        for heard in spectrograms:
            if heard.shape[0] != self.shape.n_mels or not 0 < heard.shape[1] <= most:
                raise ValueError(f"features of shape {heard.shape} do not fit in ({self.shape.n_mels}, {most})")

    def views(self, frames: Sequence[int]) -> list[Features]:
        """The spectrograms of a call, of so many frames each, not copied. Raises ValueError for more than there are."""
        n_mels = self.shape.n_mels
        rows = zip(self._rows[: len(frames)], frames, strict=True)
        return [row[: n_mels * count].reshape(n_mels, count) for row, count in rows]

    def close(self) -> None:
        """Let go of the memory, which goes with the last view of it."""
        if self.descriptor < 0:
            return
        os.close(self.descriptor)
        self.descriptor = -1
        self._rows = np.empty((0, 0), np.float16)
        with contextlib.suppress(BufferError):  # somebody still looks at it
            self._map.close()


def nameless_memory(size: int) -> int:
    """A descriptor of `size` bytes that no other process can open, nor, on Linux, take away. Raises OSError.

    A mapping of what was truncated by somebody else would kill whoever touches it.
    """
    if sys.platform == "linux":
        descriptor = os.memfd_create("asr-api features", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        os.ftruncate(descriptor, size)
        if sys.platform == "linux":
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
