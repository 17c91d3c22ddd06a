"""Is the language right: of short and long clips, of the first seconds alone, and where it changes half-way?

python -m tools.accuracy.language            # the repository's recordings, ten languages
python -m tools.accuracy.language --full     # and Debian's prompts in five of them
"""

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Annotated

import typer
from benchmarks.harness.clips import DATA, Clip, read_clips
from benchmarks.harness.folder import folder_of
from benchmarks.harness.report import say, tell
from benchmarks.harness.table import markdown, percent
from platformdirs import user_cache_path

from asr_api.cli import NATIVE_THREADS
from asr_api.transcription import SAMPLE_RATE

from . import debian
from .heard import Heard
from .laying import Phrase, judge, lay, phrases_of
from .reference import FasterWhisper
from .scores import BATCHED, DEFAULTS, OURS
from .service import Service, serving
from .signals import read, write_flac

WORK = user_cache_path("asr-api") / "accuracy" / "language"
SPEECH = DATA / "speech" / "manifest.json"
SEED = 1
COUNT, MINUTES = 4, 2.0
FIRST = (1.0, 2.0, 5.0)
"""Seconds of a clip that are heard alone."""
LENGTHS: Mapping[str, Callable[[float], bool]] = {
    "up to 2 s": lambda seconds: seconds < 2,
    "2 to 5 s": lambda seconds: 2 <= seconds < 5,
    "over 5 s": lambda seconds: seconds >= 5,
}
MANY = "asr-api, multilingual"
CHANGING = ("en", "ru")
PLAIN = "ru"
"""The language as whose words both are compared: of English, spelling and numbers would be normalised too."""


@dataclass(frozen=True, slots=True)
class Detected:
    """How many of some clips each side took for the right language."""

    what: str
    clips: int
    right: Mapping[str, int]

    def cells(self) -> list[str]:
        return [self.what, f"{self.clips}", *(percent(count / self.clips) for count in self.right.values())]


@dataclass(frozen=True, slots=True)
class Changing:
    """One side on a recording whose language changes with each phrase, by language; `right` are the phrases whose
    segment says the right language, None where segments say none.
    """

    pauses: str
    side: str
    errors: Mapping[str, tuple[int, int]]
    lost: int
    phrases: int
    right: int | None

    def cells(self) -> list[str]:
        rates = [percent(wrong / words) for wrong, words in self.errors.values()]
        right = "-" if self.right is None else percent(self.right / self.phrases)
        return [self.pauses, self.side, f"{self.phrases}", *rates, f"{self.lost}", right]


@dataclass(frozen=True, slots=True)
class Languages:
    """Detection by length of clip, and recordings that change language."""

    detected: Sequence[Detected]
    changing: Sequence[Changing]

    @property
    def missed(self) -> list[str]:
        """There is no bar: a phrase that is lost is one for long recordings."""
        return []

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    def __str__(self) -> str:
        header = ["language right, %", "clips", *self.detected[0].right]
        changing = ["pauses", "side", "phrases", *(f"{language}, errors %" for language in CHANGING), "lost", "right %"]
        return "\n".join(
            [
                markdown(header, [row.cells() for row in self.detected]),
                markdown(changing, [row.cells() for row in self.changing]),
            ]
        )


def run(
    full: Annotated[bool, typer.Option("--full", help="and Debian's prompts")] = False,
    count: Annotated[int, typer.Option(help="prompts of each language with --full", min=1)] = COUNT,
    minutes: Annotated[float, typer.Option(help="length of what changes language")] = MINUTES,
    model: Annotated[str, typer.Option(help="name or folder")] = "base",
    compute_type: Annotated[str, typer.Option(help="CTranslate2's")] = "int8",
) -> None:
    """How often the language is right."""
    say(f"{measure(full=full, count=count, minutes=minutes, model=model, compute_type=compute_type)}")


def measure(
    *,
    full: bool = False,
    count: int = COUNT,
    minutes: float = MINUTES,
    model: str = "base",
    compute_type: str = "int8",
) -> Languages:
    """Both sides. Raises ServerFailed, httpx2.HTTPError, NoPackages and StartupError."""
    clips = [*read_clips(SPEECH), *(_prompts(count) if full else ())]
    heard_alone = {seconds: [_first(clip, seconds) for clip in clips if clip.seconds > seconds] for seconds in FIRST}
    recordings = changing(full=full, seconds=60 * minutes)
    reference = FasterWhisper(folder_of(model), compute_type)
    changes = []
    with serving(model, compute_type, 5, 8) as service:
        every = [*clips, *chain.from_iterable(heard_alone.values())]
        tell(f"{len(every)} clips by both sides")
        found: dict[str, Sequence[str | None]] = {
            OURS: _languages(service, every),
            DEFAULTS: reference.languages(every),
        }
        detected = [_detected(what, some, every, found) for what, some in _groups(clips, heard_alone)]
        tell(f"{Languages(detected, [])}")
        for pauses, (clip, phrases) in recordings.items():
            tell(f"{pauses}: {clip.seconds / 60:.1f} min")
            changes += [
                _changing(pauses, side, phrases, _ours(service, clip, many=side == MANY)) for side in (OURS, MANY)
            ]
    for pauses, (clip, phrases) in recordings.items():
        for side in (DEFAULTS, BATCHED):
            (heard,) = reference.hear_as(side, [clip], multilingual=True)
            changes.append(_changing(pauses, f"{side}, multilingual", phrases, heard))
    return Languages(detected, changes)


def _prompts(count: int) -> list[Clip]:
    """So many of each speaker, drawn evenly, those without speech left out."""
    chosen = []
    for speaker in debian.SPEAKERS:
        prompts = [clip for clip in debian.prompts(speaker.language) if not clip.text.startswith(("[", "<"))]
        chosen += random.Random(SEED).sample(prompts, min(count, len(prompts)))
    return chosen


def _first(clip: Clip, seconds: float) -> Clip:
    """Its first seconds, as a file."""
    WORK.mkdir(parents=True, exist_ok=True)
    path = WORK / f"{clip.language}-{clip.path.stem}-first{seconds:g}.flac"
    if not path.exists():
        write_flac(path, read(clip.path)[: round(seconds * SAMPLE_RATE)])
    return Clip(path, clip.language, clip.text, seconds)


def _groups(clips: Sequence[Clip], heard_alone: Mapping[float, Sequence[Clip]]) -> list[tuple[str, Sequence[Clip]]]:
    """By language, by length, and the first seconds of those that are longer."""
    languages = sorted({clip.language for clip in clips})
    groups: list[tuple[str, Sequence[Clip]]] = [
        (language, [clip for clip in clips if clip.language == language]) for language in languages
    ]
    groups += [(name, [clip for clip in clips if takes(clip.seconds)]) for name, takes in LENGTHS.items()]
    groups += [(f"first {seconds:g} s of longer clips", some) for seconds, some in heard_alone.items()]
    return groups


def _detected(
    what: str, some: Sequence[Clip], every: Sequence[Clip], found: Mapping[str, Sequence[str | None]]
) -> Detected:
    """`found` has the languages of `every` clip by each side."""
    chosen = set(some)
    right = {
        side: sum(one == clip.language for clip, one in zip(every, own, strict=True) if clip in chosen)
        for side, own in found.items()
    }
    return Detected(what, len(chosen), right)


def _languages(service: Service, clips: Sequence[Clip]) -> list[str | None]:
    """Where only the language counts, a text is as short as can be, and none has failed."""
    heard = service.hear(
        clips, beam_size="1", max_new_tokens="1", log_prob_threshold="-100", compression_ratio_threshold="100"
    )
    return [one.language for one in heard]


def changing(*, full: bool, seconds: float) -> dict[str, tuple[Clip, list[Phrase]]]:
    """Phrases of two languages in turn, with pauses of two lengths, as files. Raises NoPackages."""
    by_language = [
        phrases_of(
            [clip for clip in (debian.prompts(language) if full else read_clips(SPEECH)) if _fits(clip, language)]
        )
        for language in CHANGING
    ]
    for clips in by_language:
        random.Random(SEED).shuffle(clips)
    turns = list(chain.from_iterable(zip(*by_language, strict=False)))
    WORK.mkdir(parents=True, exist_ok=True)
    found = {}
    for pauses in ((0.3, 0.8), (1.0, 2.0)):
        samples, phrases = lay(turns, seconds, pauses, SEED)
        name = f"{pauses[0]} to {pauses[1]} s"
        path = write_flac(WORK / f"changing-{pauses[1]:g}-{seconds:.0f}-{full}.flac", samples)
        found[name] = Clip(path, "", "", len(samples) / SAMPLE_RATE), phrases
    return found


def _fits(clip: Clip, language: str) -> bool:
    """Whether it is of the language, without digits, which one side writes as words and another as figures."""
    return clip.language == language and not any(map(str.isdigit, clip.text))


def _ours(service: Service, clip: Clip, *, many: bool) -> Heard:
    (heard,) = service.hear([clip], response_format="verbose_json", multilingual=str(many).lower())
    return heard


def _changing(pauses: str, side: str, phrases: Sequence[Phrase], heard: Heard) -> Changing:
    verdicts = judge(phrases, heard.segments, PLAIN)
    errors = {
        language: (
            sum(one.errors for one in verdicts if one.phrase.language == language),
            sum(one.words for one in verdicts if one.phrase.language == language),
        )
        for language in CHANGING
    }
    lost = sum(one.lost for one in verdicts)
    told = any(segment.language for segment in heard.segments)
    right = sum(_language_at(phrase, heard) == phrase.language for phrase in phrases) if told else None
    return Changing(pauses, side, errors, lost, len(phrases), right)


def _language_at(phrase: Phrase, heard: Heard) -> str | None:
    """What the segment says that has most of the phrase."""

    def shared(start: float, end: float) -> float:
        return min(end, phrase.end) - max(start, phrase.start)

    best = max(heard.segments, key=lambda one: shared(one.start, one.end), default=None)
    return best.language if best and shared(best.start, best.end) > 0 else None


if __name__ == "__main__":
    for variable, value in NATIVE_THREADS.items():
        os.environ.setdefault(variable, value)
    typer.run(run)
