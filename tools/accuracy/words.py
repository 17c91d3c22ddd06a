"""Word times beside the truth: the service, and faster-whisper in two ways, on words whose places are known.

    python -m tools.accuracy.words            # words and phrases that the repository carries
    python -m tools.accuracy.words --full     # all of Debian's prompts, and sentences by espeak-ng

Single words are cut out of their recordings where they begin and end to sound, and put together with known gaps; so
are whole phrases, of which the first word's start and the last word's end are known then. Of words within continuous
speech only a synthesiser knows when they begin.
"""

import json as json_text
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from benchmarks.harness.clips import DATA, Clip, read_clips
from benchmarks.harness.folder import folder_of
from benchmarks.harness.machine import Machine
from benchmarks.harness.metrics import Served
from benchmarks.harness.report import say, tell
from benchmarks.harness.table import markdown
from platformdirs import user_cache_path

from asr_api.cli import NATIVE_THREADS

from . import debian
from .heard import Heard
from .placed import Layout, laid_out
from .reference import FasterWhisper
from .scores import BATCHED, DEFAULTS, OURS
from .sentences import spoken
from .service import Service, serving
from .word_times import HEADER, SpacedClip, Timing, timings

WORK = user_cache_path("asr-api") / "accuracy" / "placed"
CARRIED_WORDS = DATA / "words" / "manifest.json"
CARRIED_SPEECH = DATA / "speech" / "manifest.json"
SINGLE = re.compile(r"letters\+[a-z]|digits\+(\d|day-\d|mon-\d+)|phonetic\+[a-z]_p")
"""Prompts of one word that nobody writes together with the next, as one would with tens and ones."""
FILES, FEW = 12, 4
"""Recordings of the first kind; and without Debian's prompts."""
BEAMS = 5
CONCURRENCY = 8
"""Requests at once."""
START_MEDIAN, START_P95, END_MEDIAN = 0.04, 0.15, 0.06
"""Errors in seconds that are allowed of single words."""
PHRASE_SECONDS = (2.0, 8.0)
PHRASE_WORDS = 4
"""Fewest words of a phrase."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Recordings of one language and layout; there are as many files as `share` of those asked for. `of` is what
    they are made of; sentences are not laid out, but said by espeak-ng.
    """

    language: str
    layout: Layout
    share: float
    of: Literal["words", "phrases", "sentences"] = "words"

    def __str__(self) -> str:
        return f"{self.language} {self.layout.name}"


SENTENCES = Kind("en", Layout("sentences", pieces=1, gaps=(0, 0)), 1 / 2, of="sentences")
KINDS = (
    Kind("en", Layout("words", pieces=6, gaps=(0.15, 0.5)), 1),
    Kind("ru", Layout("words", pieces=6, gaps=(0.15, 0.5)), 1 / 2),
    Kind("en", Layout("words-far-apart", pieces=6, gaps=(0.5, 2.0)), 1 / 4),
    Kind("en", Layout("words-in-noise", pieces=6, gaps=(0.15, 0.5), snr=15), 1 / 2),
    Kind("en", Layout("phrases", pieces=3, gaps=(0.3, 1.5)), 1 / 4, of="phrases"),
    Kind("ru", Layout("phrases", pieces=3, gaps=(0.3, 1.5)), 1 / 6, of="phrases"),
    SENTENCES,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """All sides on the recordings of one kind."""

    kind: Kind
    files: int
    timings: Sequence[Timing]


@dataclass(frozen=True, slots=True)
class WordTimes:
    """What was measured, of which model, and where."""

    served: Served
    kinds: Sequence[Measured]
    machine: Machine

    def __str__(self) -> str:
        rows = [[f"{one.kind} ({one.files})", *timing.cells()] for one in self.kinds for timing in one.timings]
        served = self.served
        where = f"{served.model} on {served.device} ({served.compute_type}); {self.machine}"
        return f"{markdown(['recordings', *HEADER], rows)}\n{where}"

    @property
    def missed(self) -> list[str]:
        """Ours on single words of English; and of any recording, words out of place."""
        return [
            fault
            for kind in self.kinds
            for timing in kind.timings
            if timing.side == OURS
            for fault in _faults(kind, timing)
        ]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def _faults(measured: Measured, timing: Timing) -> list[str]:
    places = {"outside of their segment": timing.outside, "overlapping": timing.overlapping}
    found = [f"{measured.kind}: {count} words {how}" for how, count in places.items() if count]
    if measured.kind != KINDS[0]:
        return found
    reached = {
        "starts, median": (timing.starts.median, START_MEDIAN),
        "starts, 95th percentile": (timing.starts.p95, START_P95),
        "ends, median": (timing.ends.median, END_MEDIAN),
    }
    return found + [
        f"{measured.kind}: {what} {seconds:.3f} s, not {most:g}"
        for what, (seconds, most) in reached.items()
        if seconds is not None and seconds > most
    ]


def measure(full: bool) -> WordTimes:
    """As the command does by itself. Raises what `timed` raises."""
    return timed("base", "int8", files=FILES if full else FEW, seed=1, full=full, kinds=kinds_of(full))


def kinds_of(full: bool) -> list[Kind]:
    """Those that can be made: sentences are no recordings that the repository carries."""
    return [kind for kind in KINDS if full or kind is not SENTENCES]


def timed(
    model: str, compute_type: str, *, files: int, seed: int, full: bool, kinds: Sequence[Kind] = KINDS
) -> WordTimes:
    """All sides on recordings of these kinds, with 5 beams, the language found by each side itself.

    Raises ServerFailed, httpx2.HTTPError, and NoPackages or NoSynthesiser where `full` asks for what cannot be had.
    """
    recordings = {kind: recorded(kind, max(1, round(files * kind.share)), seed, full=full) for kind in kinds}
    with serving(model, compute_type, BEAMS, CONCURRENCY) as service:
        served = service.served()
        heard = {kind: {OURS: _by_service(service, clips)} for kind, clips in recordings.items()}
    reference = FasterWhisper(folder_of(model), compute_type)
    for kind, clips in recordings.items():
        for side in (DEFAULTS, BATCHED):
            tell(f"{side}: {len(clips)} recordings, {kind}")
            heard[kind][side] = reference.hear_as(side, [spaced.clip for spaced in clips], word_timestamps=True)
    measured = [Measured(kind, len(clips), timings(clips, heard[kind])) for kind, clips in recordings.items()]
    return WordTimes(served, measured, Machine.here())


def recorded(kind: Kind, files: int, seed: int, *, full: bool, folder: Path = WORK) -> list[SpacedClip]:
    """So many recordings of a kind, made now in a folder; the same ones for the same seed."""
    folder /= "full" if full else "carried"
    prompts = words(kind.language, full=full) if kind.of == "words" else phrases(kind.language, full=full)
    if kind.of == "sentences":
        return spoken(prompts, files, seed, folder)
    return laid_out(replace(kind.layout, name=str(kind).replace(" ", "-")), prompts, files, seed, folder)


def words(language: str, *, full: bool) -> list[Clip]:
    """Recordings of single words."""
    if full:
        return [clip for clip in debian.prompts(language) if SINGLE.fullmatch(clip.path.stem)]
    return [clip for clip in read_clips(CARRIED_WORDS) if clip.language == language]


def phrases(language: str, *, full: bool) -> list[Clip]:
    """Recordings of a phrase or two."""
    shortest, longest = PHRASE_SECONDS
    prompts = debian.prompts(language) if full else read_clips(CARRIED_SPEECH)
    return [
        clip
        for clip in prompts
        if clip.language == language and shortest <= clip.seconds <= longest and len(clip.text.split()) >= PHRASE_WORDS
    ]


def run(
    full: Annotated[
        bool, typer.Option("--full", help="all of Debian's prompts, fetched by apt, and espeak-ng")
    ] = False,
    model: Annotated[str, typer.Option(help="name or folder")] = "base",
    compute_type: Annotated[str, typer.Option(help="CTranslate2's, for all sides")] = "int8",
    files: Annotated[int, typer.Option(help="recordings of the first kind; of others there are fewer", min=1)] = FILES,
    seed: Annotated[int, typer.Option(help="decides words, gaps and noise")] = 1,
    only: Annotated[list[str] | None, typer.Option(help=f"of {', '.join(map(str, KINDS))}")] = None,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """Errors of word times at starts and ends, in milliseconds."""
    kinds = [kind for kind in kinds_of(full) if not only or str(kind) in only]
    result = timed(model, compute_type, files=files, seed=seed, full=full, kinds=kinds)
    say(f"{result}")
    if json:
        text = json_text.dumps(result.as_json(), indent=2, ensure_ascii=False)
        json.write_text(f"{text}\n", encoding="utf-8")


def _by_service(service: Service, clips: Sequence[SpacedClip]) -> list[Heard]:
    tell(f"{OURS}: {len(clips)} recordings")
    return service.hear([spaced.clip for spaced in clips], words=True)


if __name__ == "__main__":
    for name, value in NATIVE_THREADS.items():
        os.environ.setdefault(name, value)
    typer.run(run)
