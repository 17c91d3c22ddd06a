"""Test clips whose every word is known: made, checked and joined to long recordings.

    python tools/callsign_clips.py make               # tests/data/callsign anew, in about ten minutes
    python tools/callsign_clips.py check              # does the bundled model still read them all?
    python tools/callsign_clips.py long OUT.flac --minutes 10

`make` speaks random call signs and digits (`apt-get install espeak-ng flite`) and keeps those that the
bundled model reads without an error whatever the search. `long` needs no synthesiser: it joins the clips
that are here with pauses, and writes what is said in `OUT.json`.
"""

import argparse
import itertools
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jiwer
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment

from callsign_model.corpus import Samples, Words, synthesise, to_text, vocabulary
from callsign_recording import (
    FOLDER,
    LEAD,
    PAUSES,
    ROOT,
    WINDOW,
    Clip,
    Encoding,
    join,
    read,
    read_manifest,
    seconds_of,
    silence,
    windows,
    write,
    write_long,
    write_manifest,
)

MODEL = ROOT / "src" / "asr_api" / "models" / "callsign"

COUNTS = {"de": 4, "es": 4, "fr": 4, "it": 4, "zh": 5}
"""How many clips are kept of each language but English."""

RING = 20
"""How many English clips are kept. They form a ring, of which every run that fits a window was read right once."""

MOST_ERRORS_IN_COMPANY = 0.02
"""Share of the words of a long recording that may be wrong, pauses and beginnings of windows being others."""

SECONDS = (2.0, 5.0)
"""Least and most seconds of a clip."""

LEAST_LOGPROB = -0.05
"""Mean log-probability of the words, without timestamps: other hardware rounds otherwise, and must not tip one."""

OTHER_ENCODINGS = (
    Encoding("wav", "wav", "pcm_s16le"),
    Encoding("wav-8khz", "wav", "pcm_s16le", rate=8_000),
    Encoding("wav-44khz-stereo", "wav", "pcm_s16le", rate=44_100, layout="stereo"),
    Encoding("mp3", "mp3", "libmp3lame"),
    Encoding("ogg-opus", "ogg", "libopus", rate=48_000),
    Encoding("m4a-aac", "m4a", "aac"),
    Encoding("webm-opus", "webm", "libopus", rate=48_000),
)


def normalise(text: str) -> str:
    """Letters and digits only, in lower case."""
    return "".join(character for character in text.lower() if character.isalnum())


Spoken = tuple[Words, Samples]


class Examiner:
    """The bundled model, asked in every way that the service may ask it."""

    def __init__(self, model: Path = MODEL) -> None:
        self._models = [
            WhisperModel(str(model), "cpu", compute_type=kind, cpu_threads=2) for kind in ("float32", "int8")
        ]

    def reads(self, samples: Samples, language: str, text: str) -> bool:
        """Whether language and words come out right for each weight type, search and padding."""
        padded = np.concatenate([silence(0.5), samples, silence(0.5)])
        ways = itertools.product((False, True), (padded, samples), self._models, (1, 5))
        return all(
            _hears(model, audio, bare, beams) == (language, normalise(text)) for bare, audio, model, beams in ways
        )

    def hears_in_window(self, samples: Samples) -> Iterator[str]:
        """What is read in a window of English, greedily in int8 and then with beams in float32."""
        float32, int8 = self._models
        for model, beams in ((int8, 1), (float32, 5)):
            yield _text(model.transcribe(samples, language="en", beam_size=beams, without_timestamps=True)[0]).strip()

    def reads_window(self, samples: Samples, text: str) -> bool:
        """Whether a window of English comes out right both ways."""
        return all(normalise(heard) == normalise(text) for heard in self.hears_in_window(samples))


def _text(segments: Iterable[Segment]) -> str:
    return "".join(segment.text for segment in segments)


def _hears(model: WhisperModel, samples: Samples, bare: bool, beams: int) -> tuple[str, str] | None:
    """Language and normalised text; None where the model was not sure at once."""
    parts, info = model.transcribe(samples, without_timestamps=bare, beam_size=beams)
    segments = list(parts)
    if any(segment.temperature or (bare and segment.avg_logprob < LEAST_LOGPROB) for segment in segments):
        return None
    return info.language, normalise(_text(segments))


def speak(language: str, words: Words, rng: random.Random) -> Samples | None:
    """The words with a random voice and loudness, 0.1 s of silence on both sides; None out of `SECONDS`."""
    phrase = synthesise(language, words, random.Random(rng.random()))
    gain = rng.uniform(0.3, 0.9)
    if phrase is None:
        return None
    samples = np.concatenate([silence(0.1), gain * phrase.samples, silence(0.1)]).astype(np.float32)
    return samples if SECONDS[0] <= seconds_of(samples) <= SECONDS[1] else None


def save(folder: Path, name: str, language: str, words: Words, samples: Samples, long: bool = False) -> Clip:
    """Write a clip as FLAC."""
    write(folder / f"{name}.flac", samples)
    text = to_text(language, words).strip()
    return Clip(f"{name}.flac", language, text, seconds_of(samples), "flac", long)


def make_clips(language: str, count: int, folder: Path, seed: int, examiner: Examiner) -> Iterator[Clip]:
    """Write the first clips of the seed that the model reads, each of other words."""
    rng = random.Random(f"{seed}-{language}")
    taken: set[Words] = set()
    while len(taken) < count:
        words = tuple(rng.sample(vocabulary(language), rng.randint(4, 8)))
        samples = speak(language, words, rng)
        if samples is not None and words not in taken and examiner.reads(samples, language, to_text(language, words)):
            taken.add(words)
            yield save(folder, f"{language}-{len(taken):02}", language, words, samples)


def runs(ring: Sequence[Spoken], rng: random.Random, closed: bool) -> Iterator[tuple[Samples, str]]:
    """Windows of the newest phrase with its neighbours: those before it and, where closed, those from the start."""
    twice = [*ring, *ring]
    for length in range(1, len(ring) + 1):
        for start in range(len(ring) - length, len(ring) if closed else len(ring) - length + 1):
            run = twice[start : start + length]
            parts = [silence(rng.uniform(0, LEAD))]
            for _, samples in run:
                parts += [samples, silence(rng.uniform(*PAUSES))]
            parts[-1] = silence(rng.uniform(0, PAUSES[0]))
            window = np.concatenate(parts)
            if seconds_of(window) <= WINDOW:
                yield window, " ".join(word for words, _ in run for word in words)


def new_words(ring: Sequence[Spoken], rng: random.Random) -> Words:
    """English words that the neighbours lack: where one comes twice in a window, Whisper goes astray."""
    heard = {word for words, _ in ring[-5:] for word in words}
    return tuple(rng.sample([word for word in vocabulary("en") if word not in heard], rng.randint(4, 6)))


def make_ring(folder: Path, seed: int, examiner: Examiner) -> Iterator[Clip]:
    """Write the English clips."""
    rng = random.Random(f"{seed}-en")
    ring: list[Spoken] = []
    while len(ring) < RING:
        words = new_words(ring, rng)
        samples = speak("en", words, rng)
        if samples is None:
            continue
        longer = [*ring, (words, samples)]
        windows_read = (examiner.reads_window(*run) for run in runs(longer, rng, closed=len(longer) == RING))
        if all(windows_read) and examiner.reads(samples, "en", " ".join(words)):
            ring = longer
            yield save(folder, f"en-{len(ring):02}", "en", words, samples, long=True)


def make_formats(folder: Path, clips: Sequence[Clip], examiner: Examiner) -> Iterator[Clip]:
    """Write one clip in each of `OTHER_ENCODINGS`: the shortest English ones that are read in that format too."""
    sources = sorted((clip for clip in clips if clip.language == "en"), key=lambda clip: clip.seconds)
    for encoding in OTHER_ENCODINGS:
        for source in sources:
            path = folder / f"en-{encoding.format}.{encoding.suffix}"
            write(path, read(folder / source.file), encoding)
            samples = read(path)
            if examiner.reads(samples, "en", source.text):
                sources.remove(source)
                yield Clip(path.name, "en", source.text, seconds_of(samples), encoding.format)
                break
        else:
            raise LookupError(f"no clip is read as {encoding.format}")


def make(folder: Path, seed: int) -> None:
    """Write clips and manifest anew."""
    folder.mkdir(parents=True, exist_ok=True)
    examiner = Examiner()
    clips = list(make_ring(folder, seed, examiner))
    for language, count in COUNTS.items():
        clips += make_clips(language, count, folder, seed, examiner)
    others = list(make_formats(folder, clips, examiner))
    write_manifest(folder, clips + others)
    print(f"{len(clips)} clips, {len(others)} in other formats")


def check(folder: Path, seed: int) -> bool:
    """Read all clips, and a long recording of them, and say what is misread."""
    clips, examiner = read_manifest(folder), Examiner()
    wrong = [clip.file for clip in clips if not examiner.reads(read(folder / clip.file), clip.language, clip.text)]
    print(f"{len(clips)} clips, misread: {', '.join(wrong) or 'none'}", flush=True)
    samples, spans = join([clip for clip in clips if clip.long], 10.0, seed, folder)
    pairs = [
        (" ".join(span.text for span in inside), heard)
        for window, inside in windows(samples, spans, seed)
        for heard in examiner.hears_in_window(window)
    ]
    errors = jiwer.wer([said for said, _ in pairs], [heard for _, heard in pairs])
    exact = sum(said == heard for said, heard in pairs)
    print(f"10 minutes in windows of up to 30 s: {exact} of {len(pairs)} without an error, {errors:.2%} word errors")
    return not wrong and errors <= MOST_ERRORS_IN_COMPANY


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the clips and their manifest are")
    parser.add_argument("--seed", type=int, default=1)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("make", help="write the clips anew")
    commands.add_parser("check", help="see whether the bundled model reads them")
    long = commands.add_parser("long", help="join the English clips to a long recording")
    long.add_argument("out", type=Path)
    long.add_argument("--minutes", type=float, default=10.0)
    args = parser.parse_args()
    if args.command == "make":
        make(args.folder, args.seed)
    elif args.command == "long":
        write_long(args.out, args.minutes, args.seed, args.folder)
    elif not check(args.folder, args.seed):
        sys.exit(1)


if __name__ == "__main__":
    main()
