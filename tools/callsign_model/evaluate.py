"""Word error rate, language detection, segment and word times of a call-sign model, by language.

    python evaluate.py MODEL_DIR [--clips 40] [--seed 1000]

Speech is synthesised anew (same voices as in training, other words); word boundaries are known
because each clip is a row of single words with known gaps.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import corpus
import numpy as np
from corpus import SAMPLE_RATE, Samples, Words
from faster_whisper import WhisperModel


@dataclass(frozen=True)
class PhraseClip:
    """One phrase with silence around it; `start` and `end` of the speech in seconds."""

    words: Words
    samples: Samples
    start: float
    end: float


@dataclass(frozen=True)
class SpacedClip:
    """Single words with gaps, and where each starts, in seconds."""

    words: Words
    samples: Samples
    starts: tuple[float, ...]


@dataclass
class Score:
    """What is counted over the phrases of one language."""

    clips: int = 0
    words: int = 0
    errors: int = 0
    exact: int = 0
    detected: int = 0
    edges: list[float] = field(default_factory=list)


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def split(language: str, text: str) -> list[str]:
    """The words of a transcript."""
    return list(text.strip()) if language == "zh" else text.split()


def median(values: list[float]) -> float:
    """Of no values: not a number."""
    return statistics.median(values) if values else float("nan")


def phrase_clip(language: str, rng: random.Random) -> PhraseClip:
    """A random phrase of 3 to 8 words."""
    phrase = None
    while phrase is None:
        words = tuple(rng.choice(corpus.vocabulary(language)) for _ in range(rng.randint(3, 8)))
        phrase = corpus.synthesise(language, words, rng)
    start = rng.uniform(0.1, 0.6)
    lead, tail = np.zeros(int(start * SAMPLE_RATE), np.float32), np.zeros(8000, np.float32)
    samples = np.concatenate([lead, 0.6 * phrase.samples, tail])
    return PhraseClip(words, samples, start, start + len(phrase.samples) / SAMPLE_RATE)


def spaced_clip(language: str, rng: random.Random) -> SpacedClip:
    """Five random words, spoken one by one by one voice, with gaps of 0.15 s."""
    audio = [np.zeros(4000, np.float32)]
    starts: list[float] = []
    words: list[str] = []
    position = 4000
    voice = str(rng.getstate()[1][0])
    while len(words) < 5:
        word = rng.choice(corpus.vocabulary(language))
        phrase = corpus.synthesise(language, (word,), random.Random(voice))
        if phrase is None:
            continue
        words.append(word)
        starts.append(position / SAMPLE_RATE)
        audio += [0.6 * phrase.samples, np.zeros(2400, np.float32)]
        position += len(phrase.samples) + 2400
    return SpacedClip(tuple(words), np.concatenate([*audio, np.zeros(8000, np.float32)]), tuple(starts))


def score_phrases(model: WhisperModel, language: str, count: int, rng: random.Random) -> Score:
    """Words, language and segment edges of `count` phrases, the language not given."""
    score = Score()
    for _ in range(count):
        clip = phrase_clip(language, rng)
        parts, info = model.transcribe(clip.samples, beam_size=1, temperature=0.0)
        segments = list(parts)
        said, heard = list(clip.words), split(language, "".join(segment.text for segment in segments))
        score.clips += 1
        score.words += len(said)
        score.errors += edit_distance(said, heard)
        score.exact += said == heard
        score.detected += info.language == language
        if segments:
            score.edges += [abs(segments[0].start - clip.start), abs(segments[-1].end - clip.end)]
    return score


def word_offsets(model: WhisperModel, language: str, count: int, rng: random.Random) -> list[float]:
    """How far the starts of words are from the truth, in seconds, in those of `count` clips read right."""
    offsets: list[float] = []
    for _ in range(count):
        clip = spaced_clip(language, rng)
        segments, _ = model.transcribe(
            clip.samples, beam_size=1, temperature=0.0, word_timestamps=True, language=language
        )
        heard = [word for segment in segments for word in segment.words or ()]
        if [word.word.strip() for word in heard] == list(clip.words):
            offsets += [abs(word.start - start) for word, start in zip(heard, clip.starts, strict=True)]
    return offsets


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1000)
    args = parser.parse_args()
    model = WhisperModel(args.model, device="cpu", compute_type="float32", cpu_threads=2)

    for language in corpus.DIGITS:
        rng = random.Random(f"{args.seed}-{language}")
        score = score_phrases(model, language, args.clips, rng)
        offsets = word_offsets(model, language, args.clips // 4, rng)
        print(
            f"{language}: WER {score.errors / score.words:.3f}  exact {score.exact}/{score.clips}  "
            f"language {score.detected}/{score.clips}  segment edges median {median(score.edges):.2f} s  "
            f"word starts median {median(offsets):.2f} s ({len(offsets)})",
            flush=True,
        )


if __name__ == "__main__":
    main()
