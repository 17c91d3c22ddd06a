"""The service and three ways of asking faster-whisper: same weights, same compute type, same recordings."""

from collections.abc import Mapping, Sequence
from functools import partial

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
) -> Comparison:
    """Each side hears the recordings in turn, never two at once; and their word times on `spaced`.

    Raises StartupError, ServerFailed and httpx2.HTTPError.
    """
    alone = [one.clip for one in spaced]
    with serving(model, compute_type, beam_size, CONCURRENCY) as service:
        tell(f"{len(clips)} recordings through the service")
        heard = {OURS: service.hear(clips)}
        timed = {OURS: service.hear(alone, words=True)}
        served = service.served()
    reference = FasterWhisper(folder_of(model), compute_type)
    for side in COMPARATORS:
        tell(f"by {side}")
        kept = Kept.of(KEPT, folder_of(model) / "model.bin", side, compute_type)
        heard[side] = kept.hear(clips, partial(reference.hear_as, side))
    timed[DEFAULTS] = reference.hear(alone, {"word_timestamps": True})
    return Comparison(served, scored(clips, heard), timings(spaced, timed) if spaced else ())


def scored(clips: Sequence[Clip], heard: Mapping[str, Sequence[Heard]]) -> dict[str, list[Score]]:
    """What each side made of the recordings, with its errors."""
    return {side: [Score.of(*pair) for pair in zip(clips, own, strict=True)] for side, own in heard.items()}
