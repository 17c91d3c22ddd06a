"""Which audio contexts cost no words: floors, margins and steps, on good recordings and bad ones.

    python -m tools.accuracy.context_search          # the recordings of the repository
    python -m tools.accuracy.context_search --full   # Debian's, and some of them spoiled

Each chunk is decoded once on each context by the engine in this process, with the service's defaults;
what any choice of contexts would have made of it follows from that, with what was heard again.
"""

import json as json_text
import os
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from benchmarks.harness.clips import DATA, Clip, read_clips
from benchmarks.harness.folder import folder_of
from benchmarks.harness.machine import Machine, versions
from benchmarks.harness.report import say, tell
from benchmarks.harness.table import figure, markdown

from asr_api.calibration.bootstrap import Interval
from asr_api.cli import NATIVE_THREADS
from asr_api.engine.protocol import EngineInfo
from asr_api.engine.whisper import WhisperEngine
from asr_api.fallback import AudioContext
from asr_api.transcription import TranscriptionOptions

from .context_load import LoadRow, under_load
from .context_policies import BOUNDS, GROUPS, PolicyRow, TimesRow, TrialRow, times_row, trial_rows
from .context_trials import Bench, Heard, Tried, chunks_of
from .debian import prompts
from .spoiling import CLEAN, CONDITIONS, Condition, spoil

SPEECH = DATA / "speech" / "manifest.json"
CONTEXTS = (800, 1000, 1300, 1600, 2000)
"""Frames of 10 ms that are tried beside all 3000."""
POLICIES = (
    *(AudioContext(steps, margin) for margin in (0.5, 1.0, 2.0, 3.0) for steps in ((13.0, 20.0),)),
    *(AudioContext(steps, margin) for margin in (1.0, 3.0) for steps in ((8.0, 13.0, 20.0), (10.0, 20.0))),
    AudioContext((10.0, 13.0, 16.0, 20.0), 3.0),
    AudioContext((13.0,), 3.0),
    AudioContext((20.0,), 3.0),
)
LOADED = (AudioContext(), AudioContext((13.0,)), AudioContext((13.0, 20.0)), AudioContext((10.0, 13.0, 16.0, 20.0)))
"""The policies whose batches are looked at under load."""
BAD = ("GSM full rate", "reverberation 0.8 s", "white noise 5 dB", "babble 5 dB")
SHORTEST, LONG, LONGEST = 1.0, 7.0, 28.0
"""Seconds of the prompts that are drawn; half of them are long, for that is where little silence is left."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many prompts of each language are drawn, without texts, and of how many languages' some are spoiled."""

    texts: int
    others: int
    spoiled: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Search:
    """What came of it."""

    model: str
    compute_type: str
    recordings: Mapping[str, int]
    policies: Sequence[PolicyRow]
    trials: Sequence[TrialRow]
    times: Sequence[TimesRow]
    cost: Mapping[float, float]
    load: Sequence[LoadRow]
    machine: Machine = field(default_factory=Machine.here)
    packages: Mapping[str, str] = field(default_factory=versions)

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    def __str__(self) -> str:
        cost = ", ".join(f"{context:g} s {seconds:.3f} s" for context, seconds in self.cost.items())
        counts = ", ".join(f"{name} {count}" for name, count in self.recordings.items())
        return "\n".join(
            [
                f"{self.model} ({self.compute_type}), recordings: {counts}\n",
                policy_table(self.policies),
                trial_table(self.trials),
                times_table(self.times),
                f"Engine time of a chunk by context, with word times: {cost}.\n",
                load_table(self.load),
            ]
        )


def run(
    full: Annotated[bool, typer.Option(help="Debian's prompts, some of them spoiled")] = False,
    model: Annotated[str, typer.Option(help="name or folder")] = "base",
    compute_type: Annotated[str, typer.Option(help="CTranslate2's")] = "int8",
    beam_size: Annotated[int, typer.Option(min=1)] = 5,
    seed: Annotated[int, typer.Option(help="decides which prompts are drawn, and the dice of what spoils them")] = 1,
    minutes: Annotated[float, typer.Option(help="no more recordings are begun after so long", min=0)] = 12.0,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """Word errors of every choice of contexts, against 30 s."""
    found = measure(full=full, model=model, compute_type=compute_type, beam_size=beam_size, seed=seed, minutes=minutes)
    say(f"{found}")
    if json:
        json.write_text(json_text.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def measure(*, full: bool, model: str, compute_type: str, beam_size: int, seed: int, minutes: float) -> Search:
    """Try all contexts on all recordings, in an order that the seed decides, until the time is up.

    Raises NoPackages, and ModelUnavailable.
    """
    engine = WhisperEngine(folder_of(model), name=model, device="cpu", compute_type=compute_type)
    bench = Bench(engine, TranscriptionOptions(), beam_size)
    with tempfile.TemporaryDirectory() as folder:
        heard = list(_recordings(full, seed, Path(folder), engine.info.n_mels))
    random.Random(seed).shuffle(heard)
    tried = _try(bench, heard, monotonic() + 60 * minutes)
    chunks = [one.chunk for one in heard if one.condition == CLEAN.name][:LOAD]
    load = [under_load(engine, chunks, policy, beam_size) for policy in LOADED]
    return judged(engine.info, tried, bench, load)


def judged(info: EngineInfo, tried: Sequence[Tried], bench: Bench, load: Sequence[LoadRow]) -> Search:
    """All that follows from what was tried."""
    cost = bench.cost
    return Search(
        info.model,
        info.compute_type,
        {name: sum(map(takes, tried)) for name, takes in GROUPS.items()},
        [PolicyRow.of(policy, tried, cost) for policy in POLICIES],
        [row for row in trial_rows(tried, CONTEXTS) if row.trials],
        [times_row(tried, context) for context in CONTEXTS],
        {context / 100: seconds for context, seconds in cost.items()},
        load,
    )


def _try(bench: Bench, heard: Sequence[Heard], until: float) -> list[Tried]:
    tried: list[Tried] = []
    for start in range(0, len(heard), SOME):
        if start and monotonic() > until:
            break
        tried += bench.try_all(heard[start : start + SOME], CONTEXTS)
        tell(f"{len(tried)} of {len(heard)} recordings tried")
    return tried


SOME = 24
"""Recordings whose trials are made together, so that batches are full."""
LOAD = 32
"""Recordings under load."""


def _recordings(full: bool, seed: int, folder: Path, n_mels: int) -> Sequence[Heard]:
    if not full:
        return chunks_of([clip for clip in read_clips(SPEECH) if clip.seconds <= LONGEST], CLEAN.name, n_mels)
    clips = {
        language: _drawn(language, count, seed)
        for language, count in {"en": 30, "ru": 30, "es": 8, "fr": 8, "it": 8}.items()
    }
    heard = chunks_of([clip for own in clips.values() for clip in own], CLEAN.name, n_mels)
    good = [*clips["en"][:8], *clips["ru"][:4]]
    for condition in _bad():
        spoiled = spoil(good, condition, folder / condition.name.replace(" ", "-"), seed, good)
        heard += chunks_of(spoiled, condition.name, n_mels)
    return heard


def _bad() -> list[Condition]:
    return [condition for condition in CONDITIONS if condition.name in BAD]


def _drawn(language: str, count: int, seed: int) -> list[Clip]:
    """Prompts in an order that the seed decides, one of two long where there are as many."""
    dice = random.Random(seed)
    clips = [clip for clip in prompts(language) if SHORTEST <= clip.seconds <= LONGEST]
    long = [clip for clip in clips if clip.seconds >= LONG]
    short = [clip for clip in clips if clip.seconds < LONG]
    half = min(count // 2, len(long))
    drawn = [*dice.sample(long, half), *dice.sample(short, count - half)]
    dice.shuffle(drawn)
    return drawn


def policy_table(rows: Sequence[PolicyRow]) -> str:
    groups = list(rows[0].less)
    header = ["steps s", "margin s", *(f"{name}: errors less those of 30 s, points" for name in groups)]
    header += ["short", "again on 30 s", "ran away", "engine time %"]
    return markdown(header, [_policy_cells(row, groups) for row in rows])


def _policy_cells(row: PolicyRow, groups: Sequence[str]) -> list[str]:
    steps = ", ".join(f"{step:g}" for step in row.steps)
    less = [_points(row.less[name]) for name in groups]
    return [
        steps,
        f"{row.margin:g}",
        *less,
        f"{row.short}",
        f"{row.again}",
        f"{row.ran_away}",
        f"{100 * row.engine:.0f}",
    ]


def _points(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def trial_table(rows: Sequence[TrialRow]) -> str:
    header = ("context s", "silence s", "trials", "caught", "by", "ran away")
    return markdown(header, [_trial_cells(row) for row in rows])


def _trial_cells(row: TrialRow) -> list[str]:
    by = ", ".join(f"{name} {count}" for name, count in sorted(row.caught.items())) or "-"
    silence = f"{row.least:g} to {row.most:g}" if row.most < BOUNDS[-1] else f"{row.least:g} and more"
    return [f"{row.context:g}", silence, f"{row.trials}", f"{sum(row.caught.values())}", by, f"{row.ran_away}"]


def times_table(rows: Sequence[TimesRow]) -> str:
    header = ("context s", "words", "start, median s", "p95 s", "end, median s", "p95 s")
    values = [(row.start_median, row.start_p95, row.end_median, row.end_p95) for row in rows]
    cells = [
        [f"{row.context:g}", f"{row.words}", *(figure(one, 3) for one in own)]
        for row, own in zip(rows, values, strict=True)
    ]
    return markdown(header, cells)


def load_table(rows: Sequence[LoadRow]) -> str:
    header = ("steps s", "chunks", "calls", "chunks a call", "engine s")
    return markdown(header, [_load_cells(row) for row in rows])


def _load_cells(row: LoadRow) -> list[str]:
    steps = ", ".join(f"{step:g}" for step in row.steps) or "30 alone"
    counts = [f"{row.chunks}", f"{row.calls}", f"{row.chunks / row.calls:.2f}"]
    return [steps, *counts, f"{row.seconds:.1f}"]


if __name__ == "__main__":
    for name, value in NATIVE_THREADS.items():
        os.environ.setdefault(name, value)
    typer.run(run)
