"""Poor recordings made clearer, by libavfilter's own filters; every sample stays where it is."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph

from asr_api.audio.blocks import in_blocks
from asr_api.transcription import SAMPLE_RATE, Samples

RUMBLE = "f=80"
"""Takes away what lies below any voice: direct current, rumble and most of a mains hum."""

NOISE_REDUCTION = 12
"""Decibels by which noise is lowered: afftdn's own default, with which Whisper made fewer errors than with 6."""

DENOISE_DELAY = 2 * (SAMPLE_RATE // 80)
"""Samples by which afftdn is late: its window is three hops of an 80th of a second (libavfilter, af_afftdn.c)."""

LOUDER = "f=500:g=7:m=100:p=0.9:b=1"
"""Brings each half second, weighed with the 1.5 s either side, to a peak of 0.9, with a gain of at most 40 dB."""

MIN_FLOOR, MAX_FLOOR = -80.0, -20.0
"""Decibels of noise that afftdn can be told of."""

FLOOR_MARGIN = 3.0
"""Decibels over the level of the quietest frames at which noise is expected: it is not the same at all times."""

PAUSES = 10
"""Per cent of the frames that are taken for pauses, in which the noise is heard alone."""

FRAME = SAMPLE_RATE // 50
"""Samples whose level is taken together: 20 ms."""


def clean(blocks: Iterable[Samples], *, denoise: bool, normalize: bool) -> Iterator[Samples]:
    """The same audio with less noise, or at the level of near speech, or both; untouched if neither.

    As many samples come out as go in, each where it was, within -1..1. Memory is that of some blocks,
    which should be seconds long, for the noise is measured in each. Raises MemoryError.
    """
    return _cleaned(blocks, denoise, normalize) if denoise or normalize else iter(blocks)


def _cleaned(blocks: Iterable[Samples], denoise: bool, normalize: bool) -> Iterator[Samples]:
    taken, given = _Meter(), _Meter()
    blocks = taken.through(blocks)
    if denoise:
        blocks = _denoised(_filtered(_Filter("highpass", RUMBLE), blocks))
    if normalize:
        blocks = _filtered(_Filter("dynaudnorm", LOUDER), blocks)
    yield from given.through(_clipped(blocks))
    if given.samples != taken.samples:  # where memory fails libavfilter drops what it converts, and says nothing
        raise MemoryError(f"{taken.samples - given.samples} samples were lost while they were cleaned")


@dataclass(slots=True)
class _Meter:
    """How many samples came by."""

    samples: int = 0

    def through(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        for block in blocks:
            self.samples += len(block)
            yield block


def noise_floor(block: Samples) -> float:
    """The level of the noise in a block that has pauses, in decibels of full scale, as afftdn takes it."""
    frames = block[: len(block) // FRAME * FRAME].reshape(-1, FRAME)
    quietest = np.percentile(np.square(frames).mean(axis=1), PAUSES) if len(frames) else 0.0
    level = 10 * np.log10(max(quietest, 1e-12)) + FLOOR_MARGIN
    return float(np.clip(level, MIN_FLOOR, MAX_FLOOR))


class _Filter:
    """One of libavfilter's filters with a single input and output, for mono audio at 16 kHz."""

    def __init__(self, name: str, options: str) -> None:
        self._graph = Graph()
        source = self._graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout="mono")
        self._filter = self._graph.add(name, options)
        form = self._graph.add("aformat", "sample_fmts=flt")
        self._graph.link_nodes(source, self._filter, form, self._graph.add("abuffersink")).configure()
        self._position = 0

    def tell(self, option: str, value: float) -> None:
        """Change an option for what is pushed from now on."""
        self._filter.process_command(option, f"{value:.1f}")

    def push(self, samples: Samples | None) -> Iterator[Samples]:
        """What comes out by now; None, at the end, brings out what was held back."""
        self._graph.push(None if samples is None else self._frame(samples))
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):  # all that there is, for now or for good
                return
            assert isinstance(frame, AudioFrame)
            yield frame.to_ndarray()[0].astype(np.float32, copy=False)

    def _frame(self, samples: Samples) -> AudioFrame:
        frame = AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), self._position
        self._position += len(samples)
        return frame


def _filtered(one: _Filter, blocks: Iterable[Samples]) -> Iterator[Samples]:
    return in_blocks(piece for block in itertools.chain(blocks, [None]) for piece in one.push(block))


def _denoised(blocks: Iterable[Samples]) -> Iterator[Samples]:
    afftdn = _Filter("afftdn", f"nr={NOISE_REDUCTION}")
    return _later(_filtered(afftdn, _measured(afftdn, blocks)), DENOISE_DELAY)


def _measured(afftdn: _Filter, blocks: Iterable[Samples]) -> Iterator[Samples]:
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
