"""A stream of samples in blocks of one size."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from asr_api.transcription import SAMPLE_RATE, Samples

BLOCK = 8 * SAMPLE_RATE
"""Samples of a block: enough that what is done to each costs little, few enough that holding some does too."""

Sample = TypeVar("Sample", np.int16, np.float32)


def in_blocks(pieces: Iterable[NDArray[Sample]]) -> Iterator[NDArray[Sample]]:
    """The samples of the pieces, `BLOCK` at a time and the rest, if any, at the end."""
    held: list[NDArray[Sample]] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= BLOCK:
            samples = np.concatenate(held)
            whole = length - length % BLOCK
            for start in range(0, whole, BLOCK):
                yield samples[start : start + BLOCK]
            held, length = [samples[whole:]], length - whole
    if length:
        yield np.concatenate(held)


def scaled(blocks: Iterable[NDArray[np.int16]]) -> Iterator[Samples]:
    """The same samples within -1..1."""
    for block in blocks:
        samples: Samples = block.astype(np.float32)
        samples *= np.float32(1 / 32768)
        yield samples
