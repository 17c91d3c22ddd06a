"""The run: each side hears the same recordings in turn, never both at once."""

import json as json_text
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from benchmarks.harness.clips import DATA, Clip, read_clips
from benchmarks.harness.process import ServerFailed
from benchmarks.harness.report import say, tell
from platformdirs import user_cache_path

from asr_api.errors import StartupError
from asr_api.models.catalogue import BUNDLED

from .corpus import spaced_words, utterances
from .heard import Heard
from .reference import FasterWhisper, model_folder
from .report import Part, Report
from .scores import DEFAULTS, LIKE_OURS, OURS, Score
from .service import serving
from .synthesis import NoSynthesiser
from .word_times import SpacedClip, timings

SPEECH = DATA / "speech" / "manifest.json"
WORSE, UNMEASURED = 1, 2
"""Exit codes."""


class Which(StrEnum):
    """The parts of a run."""

    CALLSIGN = "callsign"
    SPEECH = "speech"
    ALL = "all"


class Comparison:
    """One model served by both sides with the same compute type."""

    def __init__(self, model: str, compute_type: str, beam_size: int, concurrency: int) -> None:
        self._model = model
        self._compute_type = compute_type
        self._beam_size = beam_size
        self._concurrency = concurrency
        self._like_ours = {"beam_size": beam_size, "without_timestamps": True}

    def measure(self, title: str, clips: Sequence[Clip], spaced: Sequence[SpacedClip]) -> Part:
        """Both sides on `clips`, and their word times on `spaced`. Raises ServerFailed and httpx2.HTTPError."""
        alone = [one.clip for one in spaced]
        with serving(self._model, self._compute_type, self._beam_size, self._concurrency) as service:
            tell(f"{title}: {len(clips)} recordings through the service")
            heard = {OURS: service.hear(clips)}
            timed = {OURS: service.hear(alone, words=True)}
            served = service.served()
        reference = FasterWhisper(model_folder(self._model), self._compute_type)
        tell(f"{title}: by faster-whisper")
        heard[DEFAULTS] = reference.hear(clips, {})
        heard[LIKE_OURS] = reference.hear(clips, self._like_ours)
        timed[DEFAULTS] = reference.hear(alone, {"word_timestamps": True})
        scores = {side: _scores(clips, own) for side, own in heard.items()}
        times = timings(spaced, timed) if spaced else ()
        return Part(title, served, scores, times)


def run(
    part: Annotated[Which, typer.Option(help="what is measured")] = Which.ALL,
    compute_type: Annotated[str, typer.Option(help="CTranslate2's, for both sides: int8 or float32")] = "int8",
    beam_size: Annotated[int, typer.Option(help="beams of the service", min=1)] = 5,
    utterance_count: Annotated[int, typer.Option("--utterances", help="utterances of each language", min=1)] = 50,
    file_count: Annotated[int, typer.Option("--files", help="files for word times of each language", min=1)] = 12,
    speech_model: Annotated[str, typer.Option(help="model for the real recordings")] = "base",
    concurrency: Annotated[int, typer.Option(help="requests at once", min=1)] = 16,
    seed: Annotated[int, typer.Option(help="decides words, voices and noise")] = 1,
    work: Annotated[Path | None, typer.Option(help="where the synthesised recordings are kept")] = None,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """Accuracy of the service beside faster-whisper's own: exit code 1 where ours is worse by more than chance."""
    work = work or user_cache_path("asr-api") / "accuracy"

    def callsign() -> Part:
        clips, spaced = utterances(work, utterance_count, seed), spaced_words(work, file_count, seed)
        return Comparison(BUNDLED, compute_type, beam_size, concurrency).measure("Held-out voices", clips, spaced)

    def speech() -> Part:
        clips = read_clips(SPEECH)
        return Comparison(speech_model, compute_type, beam_size, concurrency).measure("Real recordings", clips, ())

    chosen = {Which.CALLSIGN: [callsign], Which.SPEECH: [speech], Which.ALL: [callsign, speech]}[part]
    options = {"beam_size": beam_size, "concurrency": concurrency, "seed": seed}
    report = Report(options, [_measured(measure) for measure in chosen])
    say(f"{report}")
    if json:
        text = json_text.dumps(report.as_json(), indent=2, ensure_ascii=False)
        json.write_text(f"{text}\n", encoding="utf-8")
    if any(each.worse_than for each in report.parts):
        raise typer.Exit(WORSE)


def _measured(measure: Callable[[], Part]) -> Part:
    """The part, printed as soon as it is there; the process ends with a sentence where it cannot be had."""
    try:
        part = measure()
    except (NoSynthesiser, ServerFailed, StartupError, httpx2.HTTPError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(UNMEASURED) from error
    say(f"{part}\n")
    return part


def _scores(clips: Sequence[Clip], heard: Sequence[Heard]) -> list[Score]:
    return [Score.of(clip, one) for clip, one in zip(clips, heard, strict=True)]
