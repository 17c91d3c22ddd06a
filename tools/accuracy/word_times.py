"""Word times beside the truth, in recordings of single words with known gaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.harness.clips import Clip
from benchmarks.harness.figures import percentiles
from benchmarks.harness.words import normalise

from .heard import Heard, TimedWord


@dataclass(frozen=True, slots=True)
class SpacedClip:
    """A recording and its words where they are spoken."""

    clip: Clip
    words: tuple[TimedWord, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """One side's errors in seconds, without sign: median and 95th percentile; None where no file counts.

    `read` files were read right by this side; the errors are of the `words` in files that all sides read right.
    """

    side: str
    files: int
    read: int
    words: int
    start_median: float | None
    start_p95: float | None
    end_median: float | None
    end_p95: float | None


def read_right(spaced: SpacedClip, heard: Heard) -> bool:
    """Whether there is a time for each word that was said, and for no other."""
    language = spaced.clip.language
    said = [normalise(word.text, language) for word in spaced.words]
    return said == [normalise(word.text, language) for word in heard.words]


def timings(clips: Sequence[SpacedClip], sides: Mapping[str, Sequence[Heard]]) -> list[Timing]:
    """A row for each side; `sides` has what each made of the clips, in their order."""
    right = {side: [read_right(*pair) for pair in zip(clips, own, strict=True)] for side, own in sides.items()}
    common = [all(answers) for answers in zip(*right.values(), strict=True)]
    return [_timing(side, clips, own, sum(right[side]), common) for side, own in sides.items()]


def _timing(side: str, clips: Sequence[SpacedClip], own: Sequence[Heard], read: int, common: Sequence[bool]) -> Timing:
    pairs = [
        pair
        for spaced, heard, counts in zip(clips, own, common, strict=True)
        if counts
        for pair in zip(spaced.words, heard.words, strict=True)
    ]
    starts = percentiles([abs(heard.start - said.start) for said, heard in pairs], (50, 95))
    ends = percentiles([abs(heard.end - said.end) for said, heard in pairs], (50, 95))
    return Timing(side, len(clips), read, len(pairs), *starts, *ends)
