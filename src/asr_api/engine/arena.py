"""Features that two processes see: memory without a name, so that nothing of it can be left behind."""

import contextlib
import fcntl
import mmap
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from asr_api.spectrogram import FRAMES, Features, pad_into


@dataclass(frozen=True, slots=True)
class ArenaShape:
    """Room for `chunks` spectrograms of `n_mels` bands; `dtype` is float16 or float32."""

    chunks: int
    n_mels: int
    dtype: str

    @property
    def size(self) -> int:
        """In bytes."""
        return self.chunks * self.n_mels * FRAMES * np.dtype(self.dtype).itemsize


class Arena:
    """The features of one engine call at a time, shape (chunks, n_mels, frames). `descriptor` is the memory."""

    def __init__(self, descriptor: int, shape: ArenaShape) -> None:
        self.descriptor = descriptor
        self.shape = shape
        self._map = mmap.mmap(descriptor, shape.size)
        self._values: NDArray[Any] = np.frombuffer(self._map, shape.dtype)

    @classmethod
    def create(cls, shape: ArenaShape) -> Self:
        """New memory, whose pages are taken as they are first written. Raises OSError, or ValueError for no size."""
        descriptor = nameless_memory(shape.size)
        try:
            return cls(descriptor, shape)
        except BaseException:
            os.close(descriptor)
            raise

    def put(self, spectrograms: Sequence[Features], frames: int = FRAMES) -> None:
        """Write the features of a call, each padded to so many frames: the only copy on their way to the engine.

        Raises ValueError where there are more than `chunks`, or one of another shape.
        """
        self._check(spectrograms, frames)
        for features, heard in zip(self.view(len(spectrograms), frames), spectrograms, strict=True):
            pad_into(features, heard)

    def _check(self, spectrograms: Sequence[Features], frames: int) -> None:
        """Apart from `put`, so that no error's traceback holds a view."""
        if not 0 < frames <= FRAMES:
            raise ValueError(f"{frames} frames do not fit in {FRAMES}")
        if len(spectrograms) > self.shape.chunks:
            raise ValueError(f"{len(spectrograms)} chunks do not fit in an arena for {self.shape.chunks}")
        for heard in spectrograms:
            if heard.shape[0] != self.shape.n_mels or not 0 < heard.shape[1] <= frames:
                raise ValueError(f"features of shape {heard.shape} do not fit in ({self.shape.n_mels}, {frames})")

    def view(self, count: int, frames: int = FRAMES) -> Features:
        """The first `count` spectrograms, of as many frames as were put, not copied."""
        part: Features = self._values[: count * self.shape.n_mels * frames]
        return part.reshape(count, self.shape.n_mels, frames)

    def close(self) -> None:
        """Let go of the memory, which goes with the last view of it."""
        if self.descriptor < 0:
            return
        os.close(self.descriptor)
        self.descriptor = -1
        self._values = np.empty(0, self.shape.dtype)
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
