"""Noisy recordings made clearer, by libavfilter's own filters; every sample stays where it is."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from asr_api.audio.blocks import in_blocks
from asr_api.audio.filters import Filter
from asr_api.transcription import SAMPLE_RATE, Samples

RUMBLE = "f=80"
"""Takes away what lies below any voice: direct current, rumble and most of a mains hum."""

NOISE_REDUCTION = 12
"""Decibels by which noise is lowered: afftdn's own default, with which Whisper made fewer errors than with 6."""

DENOISE_DELAY = 2 * (SAMPLE_RATE // 80)
"""Samples by which afftdn is late: its window is three hops of an 80th of a second (libavfilter, af_afftdn.c)."""

MIN_FLOOR, MAX_FLOOR = -80.0, -20.0
"""Decibels of noise that afftdn can be told of."""

FLOOR_MARGIN = 3.0
"""Decibels over the level of the quietest frames at which noise is expected: it is not the same at all times."""

PAUSES = 10
"""Per cent of the frames that are taken for pauses, in which the noise is heard alone."""

FRAME = SAMPLE_RATE // 50
"""Samples whose level is taken together: 20 ms."""


def denoised(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """The same audio with less noise.

    As many samples come out as go in, each where it was, within -1..1. Memory is that of some blocks,
    which should be seconds long, for the noise is measured in each. Raises MemoryError.
    """
    return _clipped(_denoised(_filtered(Filter("highpass", RUMBLE), blocks)))


def noise_floor(block: Samples) -> float:
    """The level of the noise in a block that has pauses, in decibels of full scale, as afftdn takes it."""
    frames = block[: len(block) // FRAME * FRAME].reshape(-1, FRAME)
    quietest = np.percentile(np.square(frames).mean(axis=1), PAUSES) if len(frames) else 0.0
    level = 10 * np.log10(max(quietest, 1e-12)) + FLOOR_MARGIN
    return float(np.clip(level, MIN_FLOOR, MAX_FLOOR))


def _filtered(one: Filter, blocks: Iterable[Samples]) -> Iterator[Samples]:
    return in_blocks(piece for block in itertools.chain(blocks, [None]) for piece in one.push(block))


def _denoised(blocks: Iterable[Samples]) -> Iterator[Samples]:
    afftdn = Filter("afftdn", f"nr={NOISE_REDUCTION}")
    return _later(_filtered(afftdn, _measured(afftdn, blocks)), DENOISE_DELAY)


def _measured(afftdn: Filter, blocks: Iterable[Samples]) -> Iterator[Samples]:
    """The blocks, with the filter told of the noise in each before it gets it, and at the end what pushes all out."""
    for number, block in enumerate(blocks):
        if number == 0 or len(block) >= SAMPLE_RATE:  # a short rest may have no pause
            afftdn.tell("noise_floor", noise_floor(block))
        yield block
    yield np.zeros(DENOISE_DELAY, np.float32)


def _later(blocks: Iterable[Samples], start: int) -> Iterator[Samples]:
    """The blocks without their first `start` samples."""
    for block in blocks:
        if len(block) > start:
            yield block[start:]
        start = max(0, start - len(block))


def _clipped(blocks: Iterable[Samples]) -> Iterator[Samples]:
    for block in blocks:
        yield np.clip(block, -1, 1)
