"""Long recordings: is any phrase lost or written twice, and do segments stand where the phrases are?

    python -m tools.accuracy.long            # a few minutes, of the repository's recordings
    python -m tools.accuracy.long --full     # half an hour, of Debian's prompts

Three recordings: with pauses of up to two seconds, the same with music behind it at -20 dB, and with
pauses of up to a minute.
"""

import os
import random
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from benchmarks.harness.clips import DATA, Clip, read_clips
from benchmarks.harness.figures import percentiles
from benchmarks.harness.folder import folder_of
from benchmarks.harness.report import say, tell
from benchmarks.harness.table import figure, markdown
from platformdirs import user_cache_path

from asr_api.calibration.bootstrap import error_rate
from asr_api.cli import NATIVE_THREADS
from asr_api.transcription import SAMPLE_RATE, Samples

from . import debian
from .heard import Heard
from .laying import Phrase, Verdict, judge, lay, phrases_of, with_background
from .reference import FasterWhisper
from .scores import COMPARATORS, OURS
from .service import serving
from .signals import read, write_flac

WORK = user_cache_path("asr-api") / "accuracy" / "long"
SEED = 1
SHORT_PAUSES = (0.3, 2.0)
LONG_PAUSES = (0.5, 60.0)
BACKGROUND = 20.0
"""Decibels by which music is below the speech."""
OFF = 0.3
"""Seconds by which segments may be off in the median."""
SHOWN = 10
OMISSIONS = re.compile(r'^asr_omissions_total{outcome="(\w+)"} (\S+)$', re.MULTILINE)
HEADER = (
    "recording", "side", "phrases", "lost", "twice", "errors %",
    "start off, median s", "p95", "end off, median s", "p95", "segments that count",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Laid:
    """One long recording and the phrases in it."""

    name: str
    clip: Clip
    phrases: Sequence[Phrase]


@dataclass(frozen=True, slots=True)
class Row:
    """One side on one recording; a start or an end is off by so many seconds, whichever way."""

    recording: str
    side: str
    verdicts: Sequence[Verdict]

    @property
    def lost(self) -> list[str]:
        return [one.phrase.text for one in self.verdicts if one.lost]

    @property
    def twice(self) -> list[str]:
        return [one.phrase.text for one in self.verdicts if one.twice]

    @property
    def starts(self) -> list[float]:
        return [abs(one.start) for one in self.verdicts if one.start is not None]

    @property
    def ends(self) -> list[float]:
        return [abs(one.end) for one in self.verdicts if one.end is not None]

    @property
    def missed(self) -> list[str]:
        counts = {"lost": len(self.lost), "written twice": len(self.twice)}
        found = [f"{count} phrases of {self.recording} are {how}" for how, count in counts.items() if count]
        off = {"starts": percentiles(self.starts, (50,))[0], "ends": percentiles(self.ends, (50,))[0]}
        return found + [
            f"{what} of {self.recording} are {seconds:.2f} s off in the median"
            for what, seconds in off.items()
            if seconds is not None and seconds > OFF
        ]

    def cells(self) -> list[str]:
        errors = error_rate([one.errors for one in self.verdicts], [one.words for one in self.verdicts])
        starts, ends = percentiles(self.starts, (50, 95)), percentiles(self.ends, (50, 95))
        return [
            self.recording,
            self.side,
            f"{len(self.verdicts)}",
            f"{len(self.lost)}",
            f"{len(self.twice)}",
            f"{100 * errors.value:.1f} ({100 * errors.low:.1f} to {100 * errors.high:.1f})",
            *(figure(value) for value in (*starts, *ends)),
            f"{len(self.starts)}, {len(self.ends)}",
        ]


@dataclass(frozen=True, slots=True)
class Long:
    """All recordings by all sides that heard them, and how many stretches of speech the service heard again, by what
    that brought.
    """

    minutes: Mapping[str, float]
    rows: Sequence[Row]
    omissions: Mapping[str, int]

    @property
    def missed(self) -> list[str]:
        """What of ours is lost, or twice, or too far off in time."""
        return [fault for row in self.rows if row.side == OURS for fault in row.missed]

    def as_json(self) -> dict[str, object]:
        rows = [_as_json(row) for row in self.rows]
        return {"minutes": dict(self.minutes), "rows": rows, "omissions": dict(self.omissions)}

    def __str__(self) -> str:
        lengths = ", ".join(f"{name} {minutes:.1f} min" for name, minutes in self.minutes.items())
        table = markdown(HEADER, [row.cells() for row in self.rows])
        again = ", ".join(f"{count} {outcome}" for outcome, count in self.omissions.items())
        omissions = f"\nspeech without words, heard again by {OURS}: {again}\n"
        return f"{lengths}\n\n{table}{omissions}{''.join(map(_told, self.rows))}"


def run(
    full: Annotated[bool, typer.Option("--full", help="half an hour, of Debian's prompts")] = False,
    language: Annotated[str, typer.Option(help="en or ru")] = "en",
    minutes: Annotated[float | None, typer.Option(help="length of each recording; 30 with --full, else 4")] = None,
    model: Annotated[str, typer.Option(help="name or folder")] = "base",
    compute_type: Annotated[str, typer.Option(help="CTranslate2's")] = "int8",
    everyone: Annotated[bool, typer.Option("--everyone", help="the comparators hear all three")] = False,
) -> None:
    """Whether phrases of long recordings are lost, doubled or late."""
    found = measure(
        full=full, language=language, minutes=minutes, model=model, compute_type=compute_type, everyone=everyone
    )
    say(f"{found}")


def measure(
    *,
    full: bool = False,
    language: str = "en",
    minutes: float | None = None,
    model: str = "base",
    compute_type: str = "int8",
    everyone: bool = False,
) -> Long:
    """Ours on all three recordings; the comparators on the first, which takes them long enough, or on all.

    Raises ServerFailed, httpx2.HTTPError, NoPackages and StartupError.
    """
    recordings = laid(full=full, language=language, seconds=60 * (minutes or (30 if full else 4)))
    with serving(model, compute_type, 5, 1) as service:
        tell(f"{len(recordings)} recordings through the service")
        ours = service.hear([one.clip for one in recordings], response_format="verbose_json")
        omissions = {outcome: int(float(count)) for outcome, count in OMISSIONS.findall(service.metrics())}
    rows = [_row(one, OURS, heard) for one, heard in zip(recordings, ours, strict=True)]
    tell(markdown(HEADER, [row.cells() for row in rows]))
    reference = FasterWhisper(folder_of(model), compute_type)
    pairs = [(side, one) for one in recordings for side in COMPARATORS if everyone or one is recordings[0]]
    tell(f"{len(pairs)} hearings by others")
    with ThreadPoolExecutor() as pool:  # the reference takes as many at once as there are cores
        heard_by = pool.map(lambda pair: reference.hear_as(pair[0], [pair[1].clip])[0], pairs)
        rows += [_row(one, side, heard) for (side, one), heard in zip(pairs, heard_by, strict=True)]
    order = {one.name: number for number, one in enumerate(recordings)}
    return Long(
        {one.name: one.clip.seconds / 60 for one in recordings},
        sorted(rows, key=lambda row: order[row.recording]),
        omissions,
    )


def laid(*, full: bool, language: str, seconds: float, work: Path = WORK) -> list[Laid]:
    """The three recordings, as files. Raises NoPackages."""
    clips = debian.prompts(language) if full else [c for c in read_clips(SPEECH) if c.language == language]
    phrases = phrases_of(clips)
    random.Random(SEED).shuffle(phrases)
    music = debian.music() if full else sorted((DATA / "speech").glob("music-*"))
    short, places = lay(phrases, seconds, SHORT_PAUSES, SEED)
    behind = with_background(short, np.concatenate([read(path) for path in music]), BACKGROUND)
    return [
        _kept("pauses up to 2 s", short, places, work),
        _kept("music at -20 dB", behind, places, work),
        _kept("pauses up to a minute", *lay(phrases, seconds, LONG_PAUSES, SEED), work),
    ]


SPEECH = DATA / "speech" / "manifest.json"


def _kept(name: str, samples: Samples, phrases: Sequence[Phrase], work: Path) -> Laid:
    work.mkdir(parents=True, exist_ok=True)
    language, seconds = phrases[0].language, len(samples) / SAMPLE_RATE
    path = write_flac(work / f"{language}-{name.replace(' ', '-')}-{seconds:.0f}.flac", samples)
    return Laid(name, Clip(path, language, " ".join(one.text for one in phrases), seconds), phrases)


def _row(one: Laid, side: str, heard: Heard) -> Row:
    return Row(one.name, side, judge(one.phrases, heard.segments, one.clip.language))


def _as_json(row: Row) -> dict[str, object]:
    return {"recording": row.recording, "side": row.side, "verdicts": [asdict(one) for one in row.verdicts]}


def _told(row: Row) -> str:
    wrong = [f"lost: {text}" for text in row.lost] + [f"twice: {text}" for text in row.twice]
    return "".join(f"\n{row.side}, {row.recording}, {text}" for text in wrong[:SHOWN])


if __name__ == "__main__":
    for variable, value in NATIVE_THREADS.items():
        os.environ.setdefault(variable, value)
    typer.run(run)
