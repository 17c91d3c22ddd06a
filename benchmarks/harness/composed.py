"""Speech of a wanted length whose words are known: clips of one language, one after another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_api.transcription import SAMPLE_RATE, Samples

from .clips import Clip, draw
from .recordings import PAUSE, fill, sound_of

LANGUAGE = "en"
"""That of which there are clips for every model."""

Sounds = Mapping[Path, Samples]


@dataclass(frozen=True, slots=True, eq=False)
class Composed:
    """The samples at 16 kHz, and what is said in them."""

    samples: Samples
    text: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def distinct(clips: Sequence[Clip]) -> list[Clip]:
    """One clip of each text, in the language that all models read. Raises ValueError where there is none."""
    found = {clip.text: clip for clip in clips if clip.language == LANGUAGE}
    if not found:
        raise ValueError(f"none of the {len(clips)} clips is in {LANGUAGE!r}")
    return list(found.values())


def sounds_of(clips: Sequence[Clip]) -> Sounds:
    return {clip.path: sound_of(clip) for clip in clips}


def compose(clips: Sequence[Clip], sounds: Sounds, longest: float, seed: int) -> Composed:
    """At most `longest` seconds, in an order that the seed decides; a clip comes again once all have come.

    Raises ValueError where not even one clip fits.
    """
    shortest = min(len(sounds[clip.path]) / SAMPLE_RATE for clip in clips) + PAUSE
    taken = _fitting(draw(clips, len(clips) * (2 + int(longest / shortest / len(clips))), seed), sounds, longest)
    if not taken:
        raise ValueError(f"the shortest clip has {shortest:.1f} s with its pause, which is more than {longest:g} s")
    return Composed(fill((sounds[clip.path] for clip in taken), longest), " ".join(clip.text for clip in taken))


def _fitting(clips: Sequence[Clip], sounds: Sounds, longest: float) -> list[Clip]:
    """Those that `fill` takes."""
    room, taken = round(longest * SAMPLE_RATE), []
    for clip in clips:
        length = len(sounds[clip.path]) + round(PAUSE * SAMPLE_RATE)
        if length <= room:
            taken.append(clip)
            room -= length
    return taken
