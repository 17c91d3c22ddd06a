"""Whether company in a batch changes an answer: the same recordings one at a time, and 32 at once, through the service.

python -m tools.accuracy.invariance            # 24 of the repository's recordings
python -m tools.accuracy.invariance --full     # 200 in int8 and 48 in float32, Debian's prompts among them
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from benchmarks.harness.clips import Clip
from benchmarks.harness.report import tell
from benchmarks.harness.table import figure, markdown

from .clips import MODEL, recordings
from .command import alone
from .defaults import NO_LADDER
from .heard import Heard, TimedSegment
from .service import Service, serving

MANY = {"int8": 200, "float32": 48}
"""Recordings by compute type: float32 takes nearly twice the time."""
FEW = 16
LONGEST = 10.0
"""Seconds of a recording at most: short ones are many for the time that they take, and are one chunk each."""
AT_ONCE = 32
BATCH = 16
TOLERANCE = {"int8": 0.0, "float32": 1e-5}
"""How far the mean log probability of a text may be off: int8 sums whole numbers, float32 in another order."""
SEED = 1


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard, and the mean size of the batches."""

    heard: Sequence[Heard]
    mean_batch: float


@dataclass(frozen=True, slots=True)
class Pair:
    """One recording heard by itself and in company."""

    clip: Clip
    alone: Heard
    among: Heard

    @property
    def same(self) -> bool:
        """Text, language and the times of segments."""
        return _without_scores(self.alone) == _without_scores(self.among)

    @property
    def off(self) -> float:
        """How far apart the mean log probabilities are, at most over the segments of equal texts."""
        return max(map(_apart, self.alone.segments, self.among.segments), default=0.0) if self.same else 0.0


@dataclass(frozen=True, slots=True)
class Invariance:
    """One compute type."""

    compute_type: str
    mean_alone: float
    mean_among: float
    pairs: Sequence[Pair]

    @property
    def different(self) -> list[Pair]:
        return [pair for pair in self.pairs if not pair.same]

    @property
    def off(self) -> float:
        return max((pair.off for pair in self.pairs), default=0.0)

    @property
    def missed(self) -> list[str]:
        bars = {
            f"{len(self.different)} answers differ": bool(self.different),
            f"scores are {self.off:.2g} apart": self.off > TOLERANCE[self.compute_type],
            f"batches of {self.mean_among:.1f} on average prove little": self.mean_among < BATCH / 4,
        }
        return [f"{self.compute_type}: {sentence}" for sentence, bar in bars.items() if bar]


@dataclass(frozen=True, slots=True)
class Found:
    """All compute types."""

    types: Sequence[Invariance]

    @property
    def missed(self) -> list[str]:
        return [bar for one in self.types for bar in one.missed]

    def __str__(self) -> str:
        header = (
            *("compute type", "recordings", "mean batch alone", "mean batch in company"),
            *("answers that differ", "mean log probabilities apart, at most"),
        )
        rows = [
            [
                *(one.compute_type, str(len(one.pairs)), figure(one.mean_alone), figure(one.mean_among)),
                *(str(len(one.different)), f"{one.off:.2g}"),
            ]
            for one in self.types
        ]
        return "\n".join([markdown(header, rows), *(_told(pair) for one in self.types for pair in one.different)])

    def as_json(self) -> dict[str, object]:
        return {
            one.compute_type: {
                "mean_batch_alone": one.mean_alone,
                "mean_batch_among": one.mean_among,
                "recordings": len(one.pairs),
                "off": one.off,
                "different": [
                    {"file": pair.clip.path.name, "alone": asdict(pair.alone), "among": asdict(pair.among)}
                    for pair in one.different
                ],
            }
            for one in self.types
        }


def measure(full: bool, every: int = 1) -> Found:
    """Raises NoPackages, ServerFailed and httpx2.HTTPError."""
    found = [clip for clip in recordings(full, every) if clip.seconds <= LONGEST]
    clips = random.Random(SEED).sample(found, len(found))
    return Found([_measured(name, clips[: count if full else FEW]) for name, count in MANY.items()])


def _measured(compute_type: str, clips: Sequence[Clip]) -> Invariance:
    """The search alone: without the ladder, of which the higher temperatures draw lots."""
    with serving(MODEL, compute_type, 5, 1, max_batch_size=BATCH) as service:
        tell(f"{len(clips)} recordings in {compute_type}, one at a time")
        alone = _heard(service, clips)
        tell(f"{len(clips)} recordings in {compute_type}, {AT_ONCE} at once")
        among = _heard(replace(service, concurrency=AT_ONCE), clips)
    pairs = [Pair(*three) for three in zip(clips, alone.heard, among.heard, strict=True)]
    found = Invariance(compute_type, alone.mean_batch, among.mean_batch, pairs)
    tell(f"  {len(found.different)} answers differ; batches of {found.mean_among:.1f}")
    return found


def _heard(service: Service, clips: Sequence[Clip]) -> Hearing:
    before = service.counters()
    heard = service.hear(clips, words=True, **NO_LADDER)
    return Hearing(heard, service.counters().since(before).mean_batch or 0.0)


def _without_scores(heard: Heard) -> Heard:
    return replace(heard, segments=tuple(replace(one, avg_logprob=None) for one in heard.segments))


def _apart(one: TimedSegment, other: TimedSegment) -> float:
    return abs((one.avg_logprob or 0.0) - (other.avg_logprob or 0.0))


def _told(pair: Pair) -> str:
    return (
        f"{pair.clip.path.name}: {pair.clip.text}\n\n    alone: {pair.alone.text}\n    in company: {pair.among.text}\n"
    )


if __name__ == "__main__":
    alone("invariance")
