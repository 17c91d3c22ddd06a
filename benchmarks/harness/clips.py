"""Recordings whose words are known, and the order in which a run sends them."""

import json
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parents[2] / "tests" / "data"
CALLSIGN = "callsign"
"""The model that comes with the package; it reads call signs, and those to the letter."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording: its file, language (Whisper's code), words and length in seconds."""

    path: Path
    language: str
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Choice:
    """Which clips are taken: by length in seconds, both ends included, and by language (none named: all)."""

    shortest: float
    longest: float
    languages: Collection[str] = ()

    def takes(self, clip: Clip) -> bool:
        return self.shortest <= clip.seconds <= self.longest and (not self.languages or clip.language in self.languages)


EVERYTHING = Choice(0, float("inf"))
EVERYDAY = Choice(2, 14, ("en", "ru"))
"""Speech as people send it to an assistant, in the two languages of which there are the most clips."""


def reads_callsigns(model: str) -> bool:
    """Whether a model, by name or folder, is the bundled one or a widened form of it (widened.py)."""
    return Path(model).name.startswith(CALLSIGN)


def clips_for(model: str) -> tuple[Path, Choice]:
    """The manifest that the model can read, and the clips to take of it."""
    if reads_callsigns(model):
        return DATA / "callsign" / "manifest.json", EVERYTHING
    return DATA / "speech" / "manifest.json", EVERYDAY


def read_clips(manifest: Path) -> list[Clip]:
    """The clips with words of a manifest: a JSON list of `file`, `language`, `text` and `seconds`."""
    return [
        Clip(manifest.parent / entry["file"], entry["language"], entry["text"], entry["seconds"])
        for entry in json.loads(manifest.read_text(encoding="utf-8"))
        if entry.get("text") and entry.get("language")
    ]


def choose(clips: Sequence[Clip], choice: Choice) -> list[Clip]:
    """The clips that the choice takes. Raises ValueError where it takes none."""
    chosen = [clip for clip in clips if choice.takes(clip)]
    if not chosen:
        raise ValueError(f"none of the {len(clips)} clips is {choice}")
    return chosen


def draw(clips: Sequence[Clip], count: int, seed: int) -> list[Clip]:
    """`count` clips in an order that only the seed decides: each clip comes again once all have come."""
    order = random.Random(seed)
    drawn: list[Clip] = []
    while len(drawn) < count:
        drawn += order.sample(clips, len(clips))
    return drawn[:count]
