"""Bad recordings: word errors under each condition, ours beside the comparators', and what cleaning up does.

    python -m tools.accuracy.conditions          # recordings of the repository
    python -m tools.accuracy.conditions --full   # Debian's prompts

The real server is asked over HTTP, as it is, with `denoise=true` and with `normalize=true`; the comparators
hear the same files. Each round takes a few recordings through all conditions and all sides.
"""

import json as json_text
import os
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Annotated, Self

import typer
from benchmarks.harness.clips import DATA, Clip, read_clips
from benchmarks.harness.folder import folder_of
from benchmarks.harness.machine import Machine, versions
from benchmarks.harness.report import say, tell
from benchmarks.harness.table import markdown

from asr_api.calibration.bootstrap import Interval, difference, error_rate
from asr_api.cli import NATIVE_THREADS

from .debian import NoPackages, prompts
from .dots import Dot, Row, draw_dots
from .reference import FasterWhisper
from .scores import ALL, COMPARATORS, OURS, Score
from .service import Service, serving
from .spoiling import CLEAN, CONDITIONS, Condition, spoil

SPEECH = DATA / "speech" / "manifest.json"
SHORTEST, LONGEST = 6.0, 14.0
"""Seconds of the recordings that are taken: the comparators need as long for few words as for many, and at half speed
the longest still fits 30 s.
"""
DENOISE, NORMALIZE = f"{OURS}, denoise", f"{OURS}, normalize"
FIELDS = {OURS: {}, DENOISE: {"denoise": "true"}, NORMALIZE: {"normalize": "true"}}
"""What the service is asked, by side."""
SIDES = (*FIELDS, *COMPARATORS)
ROUNDS, MINUTES, SEED = 18, 5.0, 1
BRIEF = frozenset({CLEAN.name, "G.711 mu-law", "Opus 12 kbit/s", "reverberation 0.4 s", "white noise 10 dB"})
"""The conditions that are enough where a few minutes are all there is."""
ROUND = {"en": 1, "ru": 1}
"""Recordings of each language in a round."""

Scores = Mapping[str, Sequence[Score]]
"""The scores of the same recordings by side."""


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """One condition: error rates by side; `less` is ours less that of `best`, the comparator with the fewest errors,
    and `denoised` and `normalized` what these add to ours.
    """

    condition: str
    recordings: int
    words: int
    errors: Mapping[str, Interval]
    best: str
    less: Interval
    denoised: Interval
    normalized: Interval

    @classmethod
    def of(cls, condition: str, *scores: Scores) -> Self:
        """Of the same recordings under one or more conditions; a recording under all of them counts as one, for what
        is hard in it is hard under each.
        """
        words = [sum(score.words for score in one) for one in zip(*(own[OURS] for own in scores), strict=True)]
        errors = {
            side: [sum(score.errors for score in one) for one in zip(*(own[side] for own in scores), strict=True)]
            for side in SIDES
        }
        best = min(COMPARATORS, key=lambda side: sum(errors[side]))
        return cls(
            condition,
            len(words),
            sum(words),
            {side: error_rate(own, words) for side, own in errors.items()},
            best,
            difference(errors[OURS], errors[best], words),
            difference(errors[DENOISE], errors[OURS], words),
            difference(errors[NORMALIZE], errors[OURS], words),
        )


@dataclass(frozen=True, slots=True)
class Conditions:
    """All conditions, and all together; `missing` says why others could not be made here."""

    model: str
    compute_type: str
    seed: int
    scores: Mapping[str, Scores]
    missing: Mapping[str, str]
    machine: Machine = field(default_factory=Machine.here)
    packages: Mapping[str, str] = field(default_factory=versions)

    @property
    def rows(self) -> list[ConditionRow]:
        each = [ConditionRow.of(name, own) for name, own in self.scores.items()]
        return [*each, ConditionRow.of(ALL, *self.scores.values())]

    @property
    def missed(self) -> list[str]:
        """Conditions in which ours makes more errors than the best comparator by more than chance explains."""
        return [f"{row.condition}: worse than {row.best}" for row in self.rows if row.less.low > 0]

    def as_json(self) -> dict[str, object]:
        where = {"machine": asdict(self.machine), "packages": dict(self.packages)}
        what = {"model": self.model, "compute_type": self.compute_type, "seed": self.seed}
        recordings = {name: _recordings(own) for name, own in self.scores.items()}
        return {**what, **where, "rows": [asdict(row) for row in self.rows], "recordings": recordings}

    def __str__(self) -> str:
        missing = "".join(f"\n{name} is missing: {why}" for name, why in self.missing.items())
        return f"{error_table(self.rows)}\n{cleaning_table(self.rows)}{missing}"

    def drawing(self) -> str:
        """Error rates by condition as SVG."""
        rows = [Row(row.condition, [_dot(row, side) for side in (OURS, *COMPARATORS)]) for row in self.rows[:-1]]
        return draw_dots("Word errors in percent, with 95 % intervals of asr-api's", (OURS, *COMPARATORS), rows)


def run(
    full: Annotated[bool, typer.Option(help="Debian's prompts, not the repository's recordings")] = False,
    rounds: Annotated[int, typer.Option(help=f"rounds at most, of {ROUND} recordings", min=1)] = ROUNDS,
    minutes: Annotated[float, typer.Option(help="no more rounds are begun after so long", min=0)] = MINUTES,
    model: Annotated[str, typer.Option(help="name or folder")] = "base",
    compute_type: Annotated[str, typer.Option(help="CTranslate2's, for all sides")] = "int8",
    concurrency: Annotated[int, typer.Option(help="requests at once", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="decides which prompts are drawn, and the dice of what spoils them")] = SEED,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
    svg: Annotated[Path | None, typer.Option(help="file to draw them into")] = None,
) -> None:
    """Word errors by condition."""
    chosen = clips_for(full, rounds, seed)
    found = heard_in_all(
        chosen, CONDITIONS, model=model, compute_type=compute_type, concurrency=concurrency, seed=seed, minutes=minutes
    )
    say(f"{found}")
    if json:
        json.write_text(json_text.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if svg:
        svg.write_text(found.drawing(), encoding="utf-8")


def clips_for(full: bool, rounds: int, seed: int) -> list[list[Clip]]:
    """The recordings of each round, in an order that the seed decides. Raises NoPackages."""
    drawn = {language: _drawn(language, full, seed) for language in ROUND}
    return [
        some
        for number in range(rounds)
        if (some := [clip for name, size in ROUND.items() for clip in drawn[name][number * size :][:size]])
    ]


def measure(full: bool) -> Conditions:
    """As the command does by itself. Raises NoPackages, ServerFailed and httpx2.HTTPError."""
    chosen = clips_for(full, ROUNDS, SEED)
    some = CONDITIONS if full else [one for one in CONDITIONS if one.name in BRIEF]
    minutes = MINUTES if full else 0.0
    return heard_in_all(chosen, some, model="base", compute_type="int8", concurrency=8, seed=SEED, minutes=minutes)


def heard_in_all(
    rounds: Sequence[Sequence[Clip]],
    conditions: Sequence[Condition],
    *,
    model: str,
    compute_type: str,
    concurrency: int,
    seed: int,
    minutes: float,
) -> Conditions:
    """These conditions and all sides, round by round until the time is up. Raises ServerFailed and httpx2.HTTPError."""
    until = monotonic() + 60 * minutes
    reference = FasterWhisper(folder_of(model), compute_type)
    scores: dict[str, dict[str, list[Score]]] = {}
    missing: dict[str, str] = {}
    with serving(model, compute_type, 5, concurrency) as service:
        for number, clips in enumerate(rounds):
            if number and monotonic() > until:
                break
            with tempfile.TemporaryDirectory() as folder:
                spoiled = _spoiled(conditions, rounds, clips, Path(folder), seed, missing)
                _add(scores, _heard(spoiled, service, reference))
            tell(f"round {number + 1} of {len(rounds)}")
    return Conditions(model, compute_type, seed, scores, missing)


def _drawn(language: str, full: bool, seed: int) -> list[Clip]:
    every = prompts(language) if full else [clip for clip in read_clips(SPEECH) if clip.language == language]
    clips = [clip for clip in every if SHORTEST <= clip.seconds <= LONGEST]
    return random.Random(seed).sample(clips, len(clips))


def _spoiled(
    conditions: Sequence[Condition],
    rounds: Sequence[Sequence[Clip]],
    clips: Sequence[Clip],
    folder: Path,
    seed: int,
    missing: dict[str, str],
) -> dict[str, list[Clip]]:
    """The clips under each condition that can be made here."""
    others = [clip for some in rounds for clip in some]
    made = {}
    for number, condition in enumerate(conditions):
        try:
            made[condition.name] = spoil(clips, condition, folder / f"{number}", seed, others)
        except NoPackages as error:
            missing[condition.name] = f"{error}"
    return made


def _heard(spoiled: Mapping[str, Sequence[Clip]], service: Service, reference: FasterWhisper) -> dict[str, Scores]:
    """The scores of each condition by side; each side hears all files in turn."""
    clips = [clip for own in spoiled.values() for clip in own]
    heard = {side: service.hear(clips, words=False, **fields) for side, fields in FIELDS.items()}
    heard |= {side: reference.hear_as(side, clips) for side in COMPARATORS}
    scores = {side: [Score.of(*pair) for pair in zip(clips, own, strict=True)] for side, own in heard.items()}
    paths = {clip.path: name for name, own in spoiled.items() for clip in own}
    return {
        name: {side: [one for one in own if paths[one.clip.path] == name] for side, own in scores.items()}
        for name in spoiled
    }


def _add(scores: dict[str, dict[str, list[Score]]], found: Mapping[str, Scores]) -> None:
    for name, sides in found.items():
        for side, own in sides.items():
            scores.setdefault(name, {}).setdefault(side, []).extend(own)


def _recordings(scores: Scores) -> list[dict[str, object]]:
    """Each recording, and what each side made of it."""
    return [
        {"file": one.clip.path.name, "text": one.clip.text}
        | {side: {"text": own[row].heard.text, "errors": own[row].errors} for side, own in scores.items()}
        for row, one in enumerate(scores[OURS])
    ]


def _dot(row: ConditionRow, side: str) -> Dot:
    errors = row.errors[side]
    return Dot(100 * errors.value, (100 * errors.low, 100 * errors.high) if side == OURS else None)


def error_table(rows: Sequence[ConditionRow]) -> str:
    header = ("condition", "words", OURS, *COMPARATORS, f"{OURS} less the best, points")
    cells = [
        [row.condition, f"{row.words}", _spread(row.errors[OURS])]
        + [f"{100 * row.errors[side].value:.1f}" for side in COMPARATORS]
        + [_spread(row.less)]
        for row in rows
    ]
    return markdown(header, cells)


def cleaning_table(rows: Sequence[ConditionRow]) -> str:
    header = ("condition", "as it is", "denoise", "change, points", "normalize", "change, points")
    cells = [
        [
            row.condition,
            f"{100 * row.errors[OURS].value:.1f}",
            f"{100 * row.errors[DENOISE].value:.1f}",
            _spread(row.denoised),
            f"{100 * row.errors[NORMALIZE].value:.1f}",
            _spread(row.normalized),
        ]
        for row in rows
    ]
    return markdown(header, cells)


def _spread(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


if __name__ == "__main__":
    for name, value in NATIVE_THREADS.items():
        os.environ.setdefault(name, value)
    typer.run(run)
