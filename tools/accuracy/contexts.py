"""What a short audio context costs in words, and saves in the engine: the service beside itself, over HTTP.

    python -m tools.accuracy.contexts          # the recordings of the repository
    python -m tools.accuracy.contexts --full   # Debian's prompts of five languages, as many each as there are requests

Where the words are unknown, what the whole context hears counts as said: each difference is one for it then, so such
recordings are shown, with their texts, and not judged. `asr-api calibrate` does the same with
recordings of one's own.
"""

import os
import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from time import monotonic
from typing import Annotated

import typer
from benchmarks.harness.clips import DATA, Clip, read_clips
from benchmarks.harness.metrics import Counters
from benchmarks.harness.report import say, tell
from benchmarks.harness.table import markdown

from asr_api.calibration.bootstrap import Interval, difference, error_rate
from asr_api.cli import NATIVE_THREADS

from .debian import SPEAKERS, prompts
from .heard import Heard
from .scores import Score
from .service import serving

SPEECH = DATA / "speech" / "manifest.json"
AGAIN = re.compile(r'^asr_fallbacks_total{reason="audio_context",.*} (\S+)$', re.MULTILINE)
SHOWN = 10
"""Recordings that differ are listed up to so many."""


HEADER = ("language", "recordings", "words", "whole, errors %", "short, errors %", "difference", "texts that differ")
EVERYDAY = 1.0, 14.0
"""Seconds of the prompts that are drawn."""
DRAWN = 16
"""Prompts of each language."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard on one kind of context, in so many `seconds`, of which the engine was `busy`; chunks a call, and
    chunks that were heard again on all 30 s.
    """

    heard: Sequence[Heard]
    seconds: float
    busy: float
    batch: float
    again: float


@dataclass(frozen=True, slots=True)
class Contexts:
    """Both kinds, on the same recordings."""

    clips: Sequence[Clip]
    whole: Hearing
    short: Hearing

    @property
    def missed(self) -> list[str]:
        """Short contexts cost words by more than chance explains, where it is known what was said."""
        known = known_of(self.clips, judged(self.clips, self.whole, self.short))
        less = less_of(known) if known else None
        return [f"short contexts make {100 * less.value:.1f} points more word errors"] if less and less.low > 0 else []

    def __str__(self) -> str:
        return compared(self.clips, self.whole, self.short)

    def as_json(self) -> dict[str, object]:
        return asdict(self) | {"clips": [clip.path.name for clip in self.clips]}


def run(
    full: Annotated[bool, typer.Option(help="Debian's prompts, not the repository's recordings")] = False,
    model: Annotated[str, typer.Option(help="name or folder")] = "base",
    compute_type: Annotated[str, typer.Option(help="CTranslate2's")] = "int8",
    concurrency: Annotated[int, typer.Option(help="requests at once", min=1)] = 16,
    seed: Annotated[int, typer.Option(help="decides which prompts are drawn, and their order")] = 1,
) -> None:
    """Whole against short contexts, on the same recordings."""
    say(f"{heard_on_both(clips_of(full, seed), model=model, compute_type=compute_type, concurrency=concurrency)}")


def measure(full: bool) -> Contexts:
    """Raises NoPackages, ServerFailed and httpx2.HTTPError."""
    return heard_on_both(clips_of(full, seed=1), model="base", compute_type="int8", concurrency=16)


def clips_of(full: bool, seed: int) -> Sequence[Clip]:
    """Each second of the repository's recordings, or prompts drawn of Debian's. Raises NoPackages."""
    return _drawn(seed) if full else read_clips(SPEECH)[::2]


def heard_on_both(clips: Sequence[Clip], *, model: str, compute_type: str, concurrency: int) -> Contexts:
    """Both kinds in turn. Raises ServerFailed and httpx2.HTTPError."""
    whole, short = (_hear(clips, context, model, compute_type, concurrency) for context in ("whole", "short"))
    return Contexts(clips, whole, short)


def _hear(clips: Sequence[Clip], context: str, model: str, compute_type: str, concurrency: int) -> Hearing:
    with serving(model, compute_type, 5, concurrency, audio_context=context) as service:
        tell(f"{len(clips)} recordings on {context} contexts")
        began, before = monotonic(), Counters.parse(service.metrics())
        heard = service.hear(clips)
        seconds, metrics = monotonic() - began, service.metrics()
    counted = Counters.parse(metrics).since(before)
    return Hearing(heard, seconds, counted.busy_seconds, counted.mean_batch or 0.0, total(AGAIN, metrics))


def _drawn(seed: int) -> list[Clip]:
    dice = random.Random(seed)
    clips = [
        clip
        for speaker in SPEAKERS
        for clip in dice.sample([one for one in prompts(speaker.language) if _everyday(one)], DRAWN)
    ]
    return dice.sample(clips, len(clips))


def _everyday(clip: Clip) -> bool:
    return EVERYDAY[0] <= clip.seconds <= EVERYDAY[1]


def total(metric: "re.Pattern[str]", text: str) -> float:
    """The sum of a metric's series."""
    return sum(float(value) for value in metric.findall(text))


def compared(clips: Sequence[Clip], whole: Hearing, short: Hearing) -> str:
    """The tables, and the recordings on which both differ most."""
    pairs = judged(clips, whole, short)
    known = known_of(clips, pairs)
    groups = {name: _of(name, pairs) for name in (*sorted({clip.language for clip in clips}), "all")}
    groups |= {"all with known texts": known} if len(known) < len(pairs) else {}
    rows = [_row(name, kept) for name, kept in groups.items() if kept]
    engine = (
        f"engine busy {whole.busy:.1f} s on whole contexts, {short.busy:.1f} s on short ones "
        f"({whole.busy / short.busy:.2f} times less); all answered in {whole.seconds:.1f} s and {short.seconds:.1f} s; "
        f"{whole.batch:.2f} and {short.batch:.2f} chunks a call; {short.again:.0f} were heard again on 30 s\n"
    )
    return f"{markdown(HEADER, rows)}\n{engine}{''.join(map(_told, _worst(pairs)))}"


Pairs = Sequence[tuple[Score, Score]]


def judged(clips: Sequence[Clip], whole: Hearing, short: Hearing) -> Pairs:
    """The errors on both, a recording; what the whole context hears was said where nothing else is known."""
    said = [clip if clip.text else replace(clip, text=one.text) for clip, one in zip(clips, whole.heard, strict=True)]
    return [
        (Score.of(clip, one), Score.of(clip, other))
        for clip, one, other in zip(said, whole.heard, short.heard, strict=True)
    ]


def known_of(clips: Sequence[Clip], pairs: Pairs) -> Pairs:
    """Those of which it is known what was said."""
    return [pair for clip, pair in zip(clips, pairs, strict=True) if clip.text and pair[0].words]


def less_of(pairs: Pairs) -> Interval:
    """Errors on short contexts less those on whole ones."""
    first, second = [one.errors for one, _ in pairs], [other.errors for _, other in pairs]
    return difference(second, first, [one.words for one, _ in pairs])


def _of(language: str, pairs: Pairs) -> Pairs:
    return [pair for pair in pairs if pair[0].words and language in ("all", pair[0].clip.language)]


def _row(language: str, pairs: Pairs) -> list[str]:
    words = [one.words for one, _ in pairs]
    first, second = [one.errors for one, _ in pairs], [other.errors for _, other in pairs]
    less = less_of(pairs)
    return [
        language,
        f"{len(pairs)}",
        f"{sum(words)}",
        f"{100 * error_rate(first, words).value:.1f}",
        f"{100 * error_rate(second, words).value:.1f}",
        f"{100 * less.value:.1f} ({100 * less.low:.1f} to {100 * less.high:.1f})",
        f"{sum(one.heard.text != other.heard.text for one, other in pairs)}",
    ]


def _worst(pairs: Pairs) -> Pairs:
    worse = [pair for pair in pairs if pair[1].errors > pair[0].errors]
    return sorted(worse, key=lambda pair: pair[0].errors - pair[1].errors)[:SHOWN]


def _told(pair: tuple[Score, Score]) -> str:
    one, other = pair
    return f"\n{one.clip.path.name}: {one.clip.text}\n  whole: {one.heard.text}\n  short: {other.heard.text}\n"


if __name__ == "__main__":
    for name, value in NATIVE_THREADS.items():
        os.environ.setdefault(name, value)
    typer.run(run)
