"""The audio front end beside faster-whisper's own functions, and how fast and in how much memory workers feed.

    python benchmarks/audio.py --minutes 60 --rounds 3 --json audio.json

First, processor seconds for an hour of audio by step, one thread each, in this process, in turn. What
comes out is compared in the same run. Then hours of audio a minute through the pool of decode workers,
as the service runs it: all of them, but for files of 16 MiB and more, such as a WAV of ten minutes, for
which one is not used. Last, the seconds until a long file's first chunk is there, and the memory
that a longer one takes. All recordings are of speech, one clip after the other.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from harness.audio_files import FORMATS, Sound, encode, looped, speech
from harness.audio_pool import Fed, Growth, feeds, first_chunks, growth_alone, in_fresh_process
from harness.audio_stages import Likeness, Ours, Theirs, Turn, compare, take_turns
from harness.audio_tables import (
    FEED,
    LATENCY,
    LIKENESS,
    MEL,
    MEMORY,
    STAGES,
    feed_rows,
    kinder,
    latency_rows,
    likeness_row,
    mel_rows,
    memory_row,
    stage_rows,
)
from harness.circumstances import Circumstances
from harness.clips import EVERYTHING, choose, clips_for, read_clips
from harness.report import say, tell
from harness.table import markdown

ONE_THREAD: Mapping[str, str] = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

LATENCY_HOURS, MEMORY_HOURS = 2, 4
"""Of the recordings whose first chunk and whose memory are looked at."""

WARM_UP_SECONDS = 20

WARM_UP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured."""

    turns: Sequence[Turn]
    alike: Sequence[Likeness]
    fed: Sequence[Fed]
    firsts: Sequence[tuple[str, float]]
    grown: Sequence[Growth]

    def __str__(self) -> str:
        tables = (
            (STAGES, stage_rows(self.turns)),
            (MEL, mel_rows(self.turns)),
            (LIKENESS, [likeness_row(each) for each in self.alike]),
            (FEED, list(feed_rows(self.fed))),
            (LATENCY, list(latency_rows(self.firsts))),
            (MEMORY, [memory_row(each) for each in self.grown]),
        )
        return "\n".join(markdown(header, rows) for header, rows in tables)

    def rows(self) -> Iterator[dict[str, object]]:
        """The same as figures, each with the part that it belongs to."""
        for turn in self.turns:
            sides = {"ours": asdict(turn.ours), "theirs": asdict(turn.theirs)}
            yield {"part": "stages", "file": turn.sound.label, "audio_seconds": turn.sound.seconds} | sides
        yield from ({"part": "results"} | asdict(each) | {"equal": each.equal} for each in self.alike)
        yield from ({"part": "pool"} | asdict(each) for each in self.fed)
        yield from ({"part": "first chunk", "file": file, "seconds": seconds} for file, seconds in self.firsts)
        yield from ({"part": "memory"} | asdict(each) for each in self.grown)


def recordings(folder: Path, minutes: float, seed: int) -> list[Sound]:
    """The same speech in each format."""
    samples = speech(choose(read_clips(clips_for("base")[0]), EVERYTHING), 60 * minutes, seed)
    sounds = []
    for form in FORMATS:
        tell(f"encoding {minutes:g} minutes as {form.name}")
        sounds.append(encode(samples, form, folder / form.name))
    return sounds


def hear(sounds: Sequence[Sound], warm_up: Sound, n_mels: int, rounds: int) -> tuple[list[Turn], list[Likeness]]:
    """Both sides, after a file that does not count."""
    ours, theirs = Ours(n_mels), Theirs(n_mels)
    list(take_turns([warm_up], ours, theirs, 1))
    turns = []
    for turn in take_turns(sounds, ours, theirs, rounds):
        turns.append(turn)
        totals = (turn.ours.stages.total, kinder(turn.theirs.stages).total)
        tell(f"{turn.sound.label}: {totals[0]:.1f} s of CPU, theirs {totals[1]:.1f} s")
    return turns, [compare(sound, ours, theirs) for sound in sounds]


def long_ones(sounds: Sequence[Sound], names: Sequence[str], hours: float, folder: Path) -> list[Sound]:
    chosen = [sound for sound in sounds if sound.format.name in names]
    return [looped(sound, 3600 * hours, folder / f"{hours:g}-{sound.format.name}") for sound in chosen]


def main(
    minutes: Annotated[float, typer.Option(help="audio that both sides hear", min=1)] = 60,
    rounds: Annotated[int, typer.Option(help="turns of both", min=1)] = 3,
    mels: Annotated[int, typer.Option(help="mel bands: 80, or 128 since large-v3")] = 80,
    workers: Annotated[int, typer.Option(help="decode workers", min=1)] = 2,
    files: Annotated[int, typer.Option(help="files given to the workers at once", min=1)] = 16,
    file_minutes: Annotated[float, typer.Option(help="length of each of them")] = 10,
    seed: Annotated[int, typer.Option(help="decides the order of the clips")] = 1,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """Measure the audio front end."""
    load = f"load {os.getloadavg()[0]:.2f} at the start"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sounds = recordings(folder, minutes, seed)
        warm_up = looped(sounds[0], WARM_UP_SECONDS, folder / "warm-up")
        turns, alike = hear(sounds, warm_up, mels, rounds)
        short = long_ones(sounds, [form.name for form in FORMATS], file_minutes / 60, folder)
        tell("feeding")
        fed = in_fresh_process(partial(feeds, short, files, rounds, workers, mels))
        tell("first chunks")
        latency = long_ones(sounds, ["wav", "mp3"], LATENCY_HOURS, folder)
        firsts = in_fresh_process(partial(first_chunks, warm_up, latency, rounds, workers, mels))
        tell("memory")
        longest = long_ones(sounds, ["wav", "mp3"], MEMORY_HOURS, folder)
        grown = [in_fresh_process(partial(growth_alone, sound, mels)) for sound in longest]
    circumstances = Circumstances(f"{minutes:g} minutes, {rounds} rounds, {mels} mels, seed {seed}; {load}")
    results = Results(turns, alike, fed, firsts, grown)
    say(f"{circumstances}; {workers} workers\n\n{results}")
    if json:
        circumstances.write_json(json, list(results.rows()))


if __name__ == "__main__":
    if not ONE_THREAD.items() <= os.environ.items():
        os.execve(sys.executable, sys.orig_argv, os.environ | ONE_THREAD)  # NumPy reads them as it is loaded
    typer.run(main)
