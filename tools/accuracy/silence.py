"""What is written where nobody speaks: characters for each minute of silence, noise, tones and music.

    python -m tools.accuracy.silence            # 20 s of each sound at three levels, and the repository's music
    python -m tools.accuracy.silence --full     # 30 s of each at seven levels, and Debian's music

The service is asked three times: as it is; with `normalize`, whose gain of up to 40 dB must not make
speech of noise; and without voice activity detection, which shows what the other guards are worth. Which
of them held is read from its metrics. Whoever has no voice activity detection hears each sound at one
level, for it takes minutes to fail at noise.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from benchmarks.harness.clips import DATA, Clip
from benchmarks.harness.folder import folder_of
from benchmarks.harness.report import say, tell
from benchmarks.harness.table import figure, markdown
from platformdirs import user_cache_path

from asr_api.cli import NATIVE_THREADS
from asr_api.transcription import SAMPLE_RATE

from . import debian
from .heard import Heard
from .reference import FasterWhisper
from .scores import COMPARATORS, DEFAULTS, OURS
from .service import Service, serving
from .signals import read, write_flac
from .sounds import LEVELLESS, SOUNDS, sound

NORMALIZED = "asr-api, normalize"
WITHOUT_VAD = "asr-api, vad=false"
MUSIC = "music"
SEED = 1
WORK = user_cache_path("asr-api") / "accuracy" / "sounds"
SKIPPED = re.compile(r'^asr_skipped_audio_seconds_total{guard="(\w+)"} (\S+)$', re.MULTILINE)
AGAIN = re.compile(r'^asr_fallbacks_total{reason="(\w+)",.*} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of each sound there is: at each of the levels in dBFS, so many seconds; `bare` is the level at which
    it is heard by those who have no voice activity detection.
    """

    levels: tuple[int, ...]
    seconds: float
    bare: int = -30


BRIEF = Extent((-50, -30, -10), 20)
FULL = Extent((-80, -60, -50, -40, -30, -20, -10), 30)


@dataclass(frozen=True, slots=True)
class Sounding:
    """A file in which nobody speaks; `bare` where those without voice activity detection hear it too."""

    sound: str
    clip: Clip
    bare: bool


@dataclass(frozen=True, slots=True)
class Guards:
    """What held that nothing is said, in seconds of audio, and why chunks were decoded again, in their number."""

    seconds: Mapping[str, float]
    again: Mapping[str, float]

    @classmethod
    def of(cls, metrics: str) -> "Guards":
        return cls(_totals(SKIPPED.findall(metrics)), _totals(AGAIN.findall(metrics)))

    def since(self, earlier: "Guards") -> "Guards":
        return Guards(_less(self.seconds, earlier.seconds), _less(self.again, earlier.again))


@dataclass(frozen=True, slots=True)
class Row:
    """One sound: the characters that each side wrote, and the minutes of it that it heard."""

    sound: str
    minutes: Mapping[str, float]
    characters: Mapping[str, int]

    def rate(self, side: str) -> float:
        return self.characters[side] / self.minutes[side]


@dataclass(frozen=True, slots=True)
class Silence:
    """All sounds; `guards` are those of the service, as it is asked."""

    rows: Sequence[Row]
    guards: Mapping[str, Guards]
    texts: Sequence[Mapping[str, str]]

    @property
    def worse_than(self) -> list[str]:
        """Sounds for which ours writes although nobody plays music, or more than the best comparator for music; so
        too with `normalize`.
        """
        return [row.sound for row in self.rows if max(row.rate(OURS), row.rate(NORMALIZED)) > _allowed(row)]

    @property
    def missed(self) -> list[str]:
        return [f"more is written of {sound} than may be" for sound in self.worse_than]

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "worse": self.worse_than}

    def __str__(self) -> str:
        sides = list(self.rows[0].characters)
        rows = [
            [row.sound, *(f"{figure(row.rate(side), 1)} ({figure(row.minutes[side], 1)})" for side in sides)]
            for row in self.rows
        ]
        header = ["characters a minute (of so many)", *sides]
        return f"{markdown(header, rows)}\n{self._guarded()}{''.join(map(_told, self.texts))}"

    def _guarded(self) -> str:
        names = list(next(iter(self.guards.values())).seconds)
        reasons = list(next(iter(self.guards.values())).again)
        rows = [
            [side, *(figure(one.seconds[name], 0) for name in names), *(figure(one.again[why], 0) for why in reasons)]
            for side, one in self.guards.items()
        ]
        heads = [f"{name}, s" for name in names] + [f"again: {why}" for why in reasons]
        return markdown(["held by", *heads], rows)


def run(
    full: Annotated[bool, typer.Option("--full", help="longer sounds, more levels, and Debian's music")] = False,
    model: Annotated[str, typer.Option(help="name or folder")] = "base",
    compute_type: Annotated[str, typer.Option(help="CTranslate2's")] = "int8",
) -> None:
    """What is written where nobody speaks; exit code 1 where ours writes more than it may."""
    found = measure(full=full, model=model, compute_type=compute_type)
    say(f"{found}")
    raise typer.Exit(bool(found.worse_than))


def measure(*, full: bool = False, model: str = "base", compute_type: str = "int8") -> Silence:
    """All sides on all sounds. Raises ServerFailed, httpx2.HTTPError, NoPackages and StartupError."""
    soundings = [*made_sounds(FULL if full else BRIEF), *music(full=full)]
    some = [one for one in soundings if one.bare]
    with serving(model, compute_type, 5, 8) as service:
        tell(f"{len(soundings)} sounds through the service")
        asked = {
            OURS: _guarded(service, soundings),
            NORMALIZED: _guarded(service, soundings, normalize=True),
            WITHOUT_VAD: _guarded(service, some, vad=False),
        }
    heard = {side: texts for side, (texts, _) in asked.items()}
    reference = FasterWhisper(folder_of(model), compute_type)
    for side in COMPARATORS:
        chosen = some if side == DEFAULTS else soundings
        tell(f"{len(chosen)} of them by {side}")
        heard[side] = reference.hear_as(side, [one.clip for one in chosen])
    return Silence(
        rows_of(soundings, heard), {side: guards for side, (_, guards) in asked.items()}, _written(soundings, heard)
    )


def _guarded(
    service: Service, soundings: Sequence[Sounding], *, vad: bool = True, normalize: bool = False
) -> tuple[list[Heard], Guards]:
    before = Guards.of(service.metrics())
    heard = service.hear([one.clip for one in soundings], vad=str(vad).lower(), normalize=str(normalize).lower())
    return heard, Guards.of(service.metrics()).since(before)


def made_sounds(extent: Extent, work: Path = WORK) -> list[Sounding]:
    """Each sound at each level, as files."""
    work.mkdir(parents=True, exist_ok=True)
    return [
        Sounding(name, _made(name, level, extent.seconds, work), level == extent.bare)
        for name in SOUNDS
        for level in ((extent.bare,) if name in LEVELLESS else extent.levels)
    ]


def _made(name: str, level: int, seconds: float, work: Path) -> Clip:
    path = work / f"{name.replace(' ', '-')}{level}-{seconds:g}.flac"
    return Clip(write_flac(path, sound(name, level, seconds, SEED)), "", "", seconds)


def music(*, full: bool) -> list[Sounding]:
    """The pieces that the repository carries, or all of Debian's, of which those without voice activity detection
    hear the shortest. Raises NoPackages.
    """
    paths = debian.music() if full else sorted((DATA / "speech").glob("music-*"))
    clips = [Clip(path, "", "", len(read(path)) / SAMPLE_RATE) for path in paths]
    shortest = min(clip.seconds for clip in clips)
    return [Sounding(MUSIC, clip, not full or clip.seconds == shortest) for clip in clips]


def rows_of(soundings: Sequence[Sounding], heard: Mapping[str, Sequence[Heard]]) -> list[Row]:
    """A row for each sound, in the order in which they come."""
    pairs = {side: _paired(soundings, own) for side, own in heard.items()}
    return [
        Row(
            name,
            {side: sum(one.clip.seconds for one, _ in own if one.sound == name) / 60 for side, own in pairs.items()},
            {side: sum(len(text.text) for one, text in own if one.sound == name) for side, own in pairs.items()},
        )
        for name in dict.fromkeys(one.sound for one in soundings)
    ]


def _paired(soundings: Sequence[Sounding], heard: Sequence[Heard]) -> list[tuple[Sounding, Heard]]:
    """What one side heard, beside what it was: all of them, or the bare ones."""
    own = soundings if len(heard) == len(soundings) else [one for one in soundings if one.bare]
    return list(zip(own, heard, strict=True))


def _allowed(row: Row) -> float:
    return min(row.rate(side) for side in COMPARATORS) if row.sound == MUSIC else 0.0


def _written(soundings: Sequence[Sounding], heard: Mapping[str, Sequence[Heard]]) -> list[dict[str, str]]:
    """What each side wrote, to be read."""
    return [
        {"side": side, "file": one.clip.path.name, "text": text.text}
        for side, own in heard.items()
        for one, text in _paired(soundings, own)
        if text.text
    ]


def _told(text: Mapping[str, str]) -> str:
    return f"\n{text['side']}, {text['file']}: {text['text'][:200]}"


def _totals(found: Iterable[tuple[str, str]]) -> dict[str, float]:
    totals: Counter[str] = Counter()
    for name, value in found:
        totals[name] += float(value)  # type: ignore[assignment]
    return dict(totals)


def _less(now: Mapping[str, float], earlier: Mapping[str, float]) -> dict[str, float]:
    return {name: value - earlier.get(name, 0.0) for name, value in now.items()}


if __name__ == "__main__":
    for variable, value in NATIVE_THREADS.items():
        os.environ.setdefault(variable, value)
    typer.run(run)
