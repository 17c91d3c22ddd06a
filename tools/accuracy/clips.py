"""Word errors on all recordings that have texts, beside faster-whisper asked in three ways.

python -m tools.accuracy.clips                      # the repository's recordings
python -m tools.accuracy.clips --full               # each twelfth of Debian's prompts too
python -m tools.accuracy.clips --full --every 1     # all of them
"""

from benchmarks.harness.clips import Clip

from . import debian
from .command import alone
from .report import Comparison
from .sides import carried, compared

MODEL = "base"
SHORTEST = 1.5
"""Seconds that a prompt must last: shorter ones are a word or two."""


EVERY = 12
"""Of Debian's prompts each so many-th, unless told otherwise: all 496 take an hour and more."""
MINUTES, BRIEF = 4.0, 1.0
"""After so long no more recordings are begun, unless it was said how many there shall be; and without Debian's."""


def measure(full: bool, every: int | None = None) -> Comparison:
    """Raises NoPackages, StartupError, ServerFailed and httpx2.HTTPError."""
    if every is not None:
        return compared(MODEL, recordings(full, every))
    found = recordings(full, EVERY)
    mixed = [clip for third in range(3) for clip in found[third::3]]  # so that some of each language come early
    return compared(MODEL, mixed, minutes=MINUTES if full else BRIEF)


def recordings(full: bool, every: int = 1) -> list[Clip]:
    """Those of the repository, and of Debian's prompts that it does not carry each `every`-th."""
    own = carried()
    known = {clip.path.name for clip in own}
    others = prompts() if full else []
    return own + [clip for clip in others if f"{clip.language}-{clip.path.name}" not in known][::every]


def prompts() -> list[Clip]:
    """The prompts with texts, in English and in Russian. Raises NoPackages."""
    found = [clip for speaker in debian.SPEAKERS if speaker.texts for clip in debian.prompts(speaker.language)]
    return [clip for clip in found if clip.seconds > SHORTEST]


if __name__ == "__main__":
    alone("clips")
