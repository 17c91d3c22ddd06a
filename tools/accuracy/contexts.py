"""What a short audio context costs in words, and saves in the engine: the service beside itself.

    python -m tools.accuracy.contexts --audio DIR

hears the recordings in DIR, whose words stand in a `.txt` beside each where they are known; without
it, those of the repository. Where the words are unknown, what the whole context hears counts as said.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from benchmarks.harness.clips import DATA, Clip, read_clips
from benchmarks.harness.report import say, tell
from benchmarks.harness.table import markdown

from asr_api.cli import NATIVE_THREADS

from .bootstrap import Interval, difference, error_rate
from .clips import recordings
from .heard import Heard
from .scores import Score
from .service import serving

SPEECH = DATA / "speech" / "manifest.json"
BUSY = re.compile(r"^asr_engine_busy_seconds_total(?:{.*})? (\S+)$", re.MULTILINE)
AGAIN = re.compile(r'^asr_fallbacks_total{reason="audio_context",.*} (\S+)$', re.MULTILINE)
SHOWN = 10
"""Recordings that differ are listed up to so many."""


HEADER = ("language", "recordings", "words", "whole, errors %", "short, errors %", "difference", "texts that differ")


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard on one kind of context, the seconds that the engine was busy with it, and the chunks that
    were heard again on all 30 s.
    """

    heard: Sequence[Heard]
    busy: float
    again: float


def run(
    audio: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="folder of recordings")] = None,
    language: Annotated[str, typer.Option(help="language spoken in the folder")] = "en",
    model: Annotated[str, typer.Option(help="name or folder")] = "base",
    compute_type: Annotated[str, typer.Option(help="CTranslate2's")] = "int8",
    beam_size: Annotated[int, typer.Option(min=1)] = 5,
    concurrency: Annotated[int, typer.Option(help="requests at once", min=1)] = 8,
) -> None:
    """Whole against short contexts, on the same recordings."""
    clips = read_clips(SPEECH) if audio is None else list(recordings_in(audio, language))
    say(f"{heard_on_both(clips, model, compute_type, beam_size, concurrency)}")


@dataclass(frozen=True, slots=True)
class Found:
    """The same recordings on both kinds of context."""

    clips: Sequence[Clip]
    whole: Hearing
    short: Hearing

    @property
    def missed(self) -> list[str]:
        """Short contexts cost words by more than chance explains."""
        less = less_of(_pairs(self.clips, self.whole, self.short))
        return [f"short contexts make {100 * less.value:.1f} points more word errors"] if less.low > 0 else []

    def __str__(self) -> str:
        return compared(self.clips, self.whole, self.short)

    def as_json(self) -> dict[str, object]:
        return {
            "busy": {"whole": self.whole.busy, "short": self.short.busy},
            "again": self.short.again,
            "recordings": [
                {"file": clip.path.name, "said": clip.text, "whole": one.text, "short": other.text}
                for clip, one, other in zip(self.clips, self.whole.heard, self.short.heard, strict=True)
            ],
        }


def measure(full: bool) -> Found:
    """Raises NoPackages, ServerFailed and httpx2.HTTPError."""
    return heard_on_both(recordings(full), "base", "int8", 5, 8)


def heard_on_both(clips: Sequence[Clip], model: str, compute_type: str, beam_size: int, concurrency: int) -> Found:
    """The service on whole contexts, and then on short ones."""
    hearings = {}
    for context in ("whole", "short"):
        with serving(model, compute_type, beam_size, concurrency, audio_context=context) as service:
            tell(f"{len(clips)} recordings on {context} contexts")
            heard = service.hear(clips)
            metrics = httpx2.get(f"{service.url}/metrics").raise_for_status().text
        hearings[context] = Hearing(heard, total(BUSY, metrics), total(AGAIN, metrics))
    return Found(clips, hearings["whole"], hearings["short"])


def recordings_in(folder: Path, language: str) -> Sequence[Clip]:
    """The recordings of a folder, in order; their text is empty where nobody wrote it down."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".txt")
    return [Clip(path, language, _text_beside(path), 0.0) for path in files]


def _text_beside(path: Path) -> str:
    text = path.with_suffix(".txt")
    return text.read_text(encoding="utf-8").strip() if text.exists() else ""


def total(metric: "re.Pattern[str]", text: str) -> float:
    """The sum of a metric's series."""
    return sum(float(value) for value in metric.findall(text))


def compared(clips: Sequence[Clip], whole: Hearing, short: Hearing) -> str:
    """The tables, and the recordings on which both differ most."""
    pairs = _pairs(clips, whole, short)
    rows = [
        _row(name, kept) for name in (*sorted({clip.language for clip in clips}), "all") if (kept := _of(name, pairs))
    ]
    engine = (
        f"engine busy {whole.busy:.1f} s on whole contexts, {short.busy:.1f} s on short ones "
        f"({whole.busy / short.busy:.2f} times less); {short.again:.0f} chunks were heard again on 30 s\n"
    )
    return f"{markdown(HEADER, rows)}\n{engine}{''.join(map(_told, _worst(pairs)))}"


Pairs = Sequence[tuple[Score, Score]]


def _pairs(clips: Sequence[Clip], whole: Hearing, short: Hearing) -> Pairs:
    said = [clip if clip.text else replace(clip, text=one.text) for clip, one in zip(clips, whole.heard, strict=True)]
    return [
        (Score.of(clip, one), Score.of(clip, other))
        for clip, one, other in zip(said, whole.heard, short.heard, strict=True)
    ]


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
