"""Recordings of which it is known where words stand: real single words with gaps, and phrases with pauses."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.harness.clips import Clip
from benchmarks.harness.words import normalise
from numpy.lib.stride_tricks import sliding_window_view

from asr_api.transcription import SAMPLE_RATE, Samples

from .signals import read, write_flac
from .synthesis import lay
from .word_times import PlacedWord, SpacedClip

WINDOW = SAMPLE_RATE // 100
"""Samples whose energy is taken together: 10 ms."""
HOP = WINDOW // 4
AUDIBLE = 35.0
"""A recording begins and ends where it comes within so many dB of its loudest 10 ms: below are breath and room."""
QUIET = 40.0
"""Signal-to-noise ratio in dB at which silence is not digital, and nobody is disturbed."""
ENDS = (0.3, 0.6)
"""Shortest and longest pause before and after, in seconds."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How recordings are put together: `pieces` in each file, gaps between them in seconds, noise in dB."""

    name: str
    pieces: int
    gaps: tuple[float, float]
    snr: float = QUIET


def trimmed(samples: Samples) -> Samples:
    """What lies between the first and the last 10 ms that are `AUDIBLE`, as loud as any other: with a power of 1."""
    energy = np.mean(np.square(sliding_window_view(samples, WINDOW)[::HOP]), axis=1)
    loud = np.flatnonzero(energy > energy.max() / 10 ** (AUDIBLE / 10))
    kept = samples[loud[0] * HOP : loud[-1] * HOP + WINDOW]
    even: Samples = (kept / np.sqrt(np.mean(np.square(kept)))).astype(np.float32)
    return even


def laid_out(layout: Layout, prompts: Sequence[Clip], files: int, seed: int, folder: Path) -> list[SpacedClip]:
    """So many files of pieces drawn from `prompts`, each of which comes again only once all have come.

    Of a prompt of several words it is known where the first begins and where the last ends.
    """
    rng = random.Random(f"{seed}-{layout.name}")
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Clip] = []
    while len(drawn) < files * layout.pieces:
        drawn += rng.sample(prompts, len(prompts))
    groups = [drawn[n * layout.pieces : (n + 1) * layout.pieces] for n in range(files)]
    return [_write(layout, group, rng, folder / f"{layout.name}-{n:03}.flac") for n, group in enumerate(groups)]


def _write(layout: Layout, group: Sequence[Clip], rng: random.Random, path: Path) -> SpacedClip:
    pauses = [rng.uniform(*ENDS), *(rng.uniform(*layout.gaps) for _ in group[1:]), rng.uniform(*ENDS)]
    pieces = [trimmed(read(clip.path)) for clip in group]
    samples, spans = lay(pieces, pauses, rng.getrandbits(32), layout.snr)
    words = tuple(word for clip, span in zip(group, spans, strict=True) for word in _placed(clip, span))
    text = " ".join(clip.text for clip in group)
    return SpacedClip(Clip(write_flac(path, samples), group[0].language, text, len(samples) / SAMPLE_RATE), words)


def _placed(clip: Clip, span: tuple[float, float]) -> list[PlacedWord]:
    words = [word for word in clip.text.split() if normalise(word, clip.language)]
    last = len(words) - 1
    return [
        PlacedWord(word, span[0] if n == 0 else None, span[1] if n == last else None) for n, word in enumerate(words)
    ]
