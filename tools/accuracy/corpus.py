"""The synthesised recordings, made once and kept."""

import hashlib
import json
import random
import wave
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from benchmarks.harness.clips import Clip

from asr_api.engine.abilities import available_cores
from asr_api.transcription import SAMPLE_RATE, Samples

from . import synthesis
from .synthesis import LANGUAGES, Voice, draw_words, lay, require_synthesiser
from .word_times import PlacedWord, SpacedClip

LENGTHS = (3, 8)
"""Fewest and most words of an utterance."""
SPACED_WORDS = 5
GAPS = (0.15, 0.5)
"""Shortest and longest pause between single words, in seconds."""
ENDS = (0.3, 0.6)
"""Shortest and longest pause before and after, in seconds."""
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the recordings depend on, besides this code and the synthesiser."""

    kind: str
    language: str
    number: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.language}-{self.number:03}"

    def rng(self) -> random.Random:
        """Draws that are this recording's own, whatever others there are."""
        return random.Random(f"{self.seed}-{self.kind}-{self.name}")


def utterances(work: Path, per_language: int, seed: int) -> list[Clip]:
    """So many utterances of each language, each by a voice of its own. Raises NoSynthesiser."""
    return [spaced.clip for spaced in _kept(work, "utterances", per_language, seed, _utter)]


def spaced_words(work: Path, per_language: int, seed: int) -> list[SpacedClip]:
    """So many recordings of single words of each language. Raises NoSynthesiser."""
    return _kept(work, "words", per_language, seed, _space)


def _utter(recipe: Recipe, path: Path) -> SpacedClip:
    rng = recipe.rng()
    words = draw_words(recipe.language, rng.randint(*LENGTHS), rng)
    text = " ".join(words)
    return _write(recipe, path, [text], [Voice(recipe.language, rng).say(text)], rng)


def _space(recipe: Recipe, path: Path) -> SpacedClip:
    rng = recipe.rng()
    words = draw_words(recipe.language, SPACED_WORDS, rng)
    voice = Voice(recipe.language, rng)
    return _write(recipe, path, words, [voice.say(word) for word in words], rng)


def _write(
    recipe: Recipe, path: Path, texts: Sequence[str], pieces: Sequence[Samples], rng: random.Random
) -> SpacedClip:
    gaps = [rng.uniform(*GAPS) for _ in pieces[1:]]
    samples, spans = lay(pieces, [rng.uniform(*ENDS), *gaps, rng.uniform(*ENDS)], rng.getrandbits(32))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype(np.int16).tobytes())
    words = tuple(PlacedWord(text, *span) for text, span in zip(texts, spans, strict=True))
    return SpacedClip(Clip(path, recipe.language, " ".join(texts), len(samples) / SAMPLE_RATE), words)


def _kept(
    work: Path, kind: str, per_language: int, seed: int, make: Callable[[Recipe, Path], SpacedClip]
) -> list[SpacedClip]:
    """The recordings of an earlier run where they are whole and of the same code, else made now."""
    folder = work / f"{kind}-{per_language}-{seed}-{_code_digest()}"
    manifest = folder / MANIFEST
    if not manifest.exists():
        require_synthesiser()
        folder.mkdir(parents=True, exist_ok=True)
        recipes = [Recipe(kind, language, n, seed) for language in LANGUAGES for n in range(per_language)]
        with ThreadPoolExecutor(available_cores()) as pool:  # each waits for a process of the synthesiser
            made = list(pool.map(lambda recipe: make(recipe, folder / f"{recipe.name}.wav"), recipes))
        manifest.write_text(json.dumps([_entry(one) for one in made], ensure_ascii=False), encoding="utf-8")
    return [_clip(folder, entry) for entry in json.loads(manifest.read_text(encoding="utf-8"))]


def _entry(spaced: SpacedClip) -> dict[str, object]:
    return {**asdict(spaced), "clip": {**asdict(spaced.clip), "path": spaced.clip.path.name}}


def _clip(folder: Path, entry: dict[str, dict[str, object]]) -> SpacedClip:
    clip = dict(entry["clip"])
    return SpacedClip(
        Clip(folder / str(clip.pop("path")), **clip),  # type: ignore[arg-type]
        tuple(PlacedWord(**word) for word in entry["words"]),  # type: ignore[arg-type]
    )


def _code_digest() -> str:
    """Changes with the code that makes the recordings, so that it never meets those of another."""
    sources = [Path(__file__), Path(synthesis.__file__)]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:8]
