"""Transcripts that are kept: faster-whisper hears the same tomorrow, and hundreds of recordings take it long."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness.clips import Clip

from .heard import Heard, TimedSegment, TimedWord

AT_ONCE = 8
"""Recordings that are heard before they are kept: what a run that is broken off loses at most."""
PACKAGES = ("faster-whisper", "ctranslate2")


class Kept:
    """What one side heard, by the content of recordings, in a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._heard = {entry["recording"]: _read(entry["heard"]) for entry in map(json.loads, lines)}

    @classmethod
    def of(cls, folder: Path, weights: Path, *circumstances: object) -> "Kept":
        """The file that belongs to these weights, the versions of the packages, and whatever else decides."""
        packages = [version(package) for package in PACKAGES]
        what = json.dumps([_digest(weights), packages, *circumstances], sort_keys=True)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.jsonl")

    def hear(self, clips: Sequence[Clip], hear: Callable[[Sequence[Clip]], Sequence[Heard]]) -> list[Heard]:
        """What was heard, in the order of the clips; `hear` is asked for those that are not kept yet."""
        names = [_digest(clip.path) for clip in clips]
        missing = {name: clip for name, clip in zip(names, clips, strict=True) if name not in self._heard}
        for start in range(0, len(missing), AT_ONCE):
            own = list(missing.items())[start : start + AT_ONCE]
            found = hear([clip for _, clip in own])
            self._keep({name: heard for (name, _), heard in zip(own, found, strict=True)})
        return [self._heard[name] for name in names]

    def _keep(self, found: dict[str, Heard]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            for name, heard in found.items():
                file.write(json.dumps({"recording": name, "heard": asdict(heard)}, ensure_ascii=False) + "\n")
        self._heard |= found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(entry: dict[str, object]) -> Heard:
    words, segments = entry["words"], entry["segments"]
    return Heard(
        str(entry["text"]),
        entry["language"],  # type: ignore[arg-type]
        tuple(TimedWord(**word) for word in words),  # type: ignore[attr-defined]
        tuple(TimedSegment(**segment) for segment in segments),  # type: ignore[attr-defined]
    )
