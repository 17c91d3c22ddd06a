"""The service and three ways of asking faster-whisper: same weights, same compute type, same recordings."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic

from benchmarks.harness.clips import DATA, Clip, read_clips
from benchmarks.harness.folder import folder_of
from benchmarks.harness.report import tell
from platformdirs import user_cache_path

from asr_api.settings import Settings

from .heard import Heard
from .kept import Kept
from .reference import FasterWhisper
from .report import Comparison
from .scores import COMPARATORS, DEFAULTS, OURS, Score
from .service import serving
from .word_times import SpacedClip, timings

SPEECH = DATA / "speech" / "manifest.json"
"""The real recordings that the repository carries."""
KEPT = user_cache_path("asr-api") / "accuracy" / "heard"
CONCURRENCY = 8
AT_ONCE = 16
"""Recordings that one side hears before the next side's turn."""

Hear = Callable[[Sequence[Clip]], Sequence[Heard]]


def carried() -> list[Clip]:
    """The repository's real recordings with words."""
    return read_clips(SPEECH)


def compared(
    model: str,
    clips: Sequence[Clip],
    spaced: Sequence[SpacedClip] = (),
    *,
    compute_type: str = "int8",
    beam_size: int = Settings.model_fields["beam_size"].default,
    minutes: float = math.inf,
) -> Comparison:
    """The sides hear the recordings in turn, never two at once; and their word times on `spaced`.

    They take some recordings at a time, and no more are begun after so many `minutes`.
    Raises StartupError, ServerFailed and httpx2.HTTPError.
    """
    alone = [one.clip for one in spaced]
    folder = folder_of(model)
    reference = FasterWhisper(folder, compute_type)
    with serving(model, compute_type, beam_size, CONCURRENCY) as service:
        hearings: dict[str, Hear] = {OURS: service.hear}
        for side in COMPARATORS:
            kept = Kept.of(KEPT, folder / "model.bin", side, compute_type)
            hearings[side] = partial(kept.hear, hear=partial(reference.hear_as, side))
        heard = hear_until(monotonic() + 60 * minutes, clips, hearings)
        timed = {OURS: service.hear(alone, words=True)}
        served = service.served()
    timed[DEFAULTS] = reference.hear(alone, {"word_timestamps": True})
    some = clips[: len(heard[OURS])]
    return Comparison(served, scored(some, heard), timings(spaced, timed) if spaced else ())


def hear_until(until: float, clips: Sequence[Clip], hearings: Mapping[str, Hear]) -> dict[str, list[Heard]]:
    """What each side makes of as many of the clips as there is time for: of the first few, whatever it takes."""
    heard: dict[str, list[Heard]] = {side: [] for side in hearings}
    for start in range(0, len(clips), AT_ONCE):
        if start and monotonic() > until:
            break
        some = clips[start : start + AT_ONCE]
        for side, hear in hearings.items():
            heard[side] += hear(some)
        tell(f"{start + len(some)} of {len(clips)} recordings by all sides")
    return heard


def scored(clips: Sequence[Clip], heard: Mapping[str, Sequence[Heard]]) -> dict[str, list[Score]]:
    """What each side made of the recordings, with its errors."""
    return {side: [Score.of(*pair) for pair in zip(clips, own, strict=True)] for side, own in heard.items()}
