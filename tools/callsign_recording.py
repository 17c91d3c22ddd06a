"""The call-sign clips as files, and the long recordings joined of them.

Needs no synthesiser and no model: it only reads the clips that are here.
"""

import dataclasses
import itertools
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from faster_whisper.audio import decode_audio

from callsign_model.corpus import SAMPLE_RATE, Samples

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "data" / "callsign"

PAUSES = (0.8, 1.5)
"""Least and most seconds between two clips."""

WINDOW = 30.0
"""Seconds that the model hears at most."""

LEAD = 0.4
"""Seconds that a window begins before its first clip, at most."""


@dataclass(frozen=True)
class Encoding:
    """A file format: its name in the manifest, PyAV's codec, samples per second and channels."""

    format: str
    suffix: str
    codec: str
    rate: int = SAMPLE_RATE
    layout: str = "mono"


FLAC = Encoding("flac", "flac", "flac")


@dataclass(frozen=True)
class Clip:
    """One entry of the manifest; `long` says that the clip is part of long recordings."""

    file: str
    language: str
    text: str
    seconds: float
    format: str
    long: bool = False


@dataclass(frozen=True)
class Span:
    """Where a text is spoken in a long recording, in seconds."""

    start: float
    end: float
    text: str


def seconds_of(samples: Samples) -> float:
    """The duration, to the millisecond."""
    return round(len(samples) / SAMPLE_RATE, 3)


def silence(seconds: float) -> Samples:
    """(seconds * SAMPLE_RATE,) zeros."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def write(path: Path, samples: Samples, encoding: Encoding = FLAC) -> None:
    """Encode mono samples at `SAMPLE_RATE`; the same samples give the same bytes."""
    pcm = (np.clip(samples, -1, 1) * 32767).round().astype(np.int16)
    frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    with av.open(str(path), "w", options={"fflags": "bitexact"}) as container:
        stream = container.add_stream(encoding.codec, rate=encoding.rate, layout=encoding.layout)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for part in (frame, None):
            container.mux(stream.encode(part))


def read(path: Path) -> Samples:
    """The mono samples at `SAMPLE_RATE` of an audio file."""
    samples: Samples = decode_audio(str(path), sampling_rate=SAMPLE_RATE)
    return samples


def read_manifest(folder: Path = FOLDER) -> list[Clip]:
    """The clips of a folder."""
    return [Clip(**entry) for entry in json.loads((folder / "manifest.json").read_text())]


def write_manifest(folder: Path, clips: Iterable[Clip]) -> None:
    """One entry a line."""
    entries = [json.dumps(dataclasses.asdict(clip), ensure_ascii=False) for clip in clips]
    (folder / "manifest.json").write_text("[\n  " + ",\n  ".join(entries) + "\n]\n")


def join(clips: Sequence[Clip], minutes: float, seed: int, folder: Path = FOLDER) -> tuple[Samples, list[Span]]:
    """A recording of at least `minutes`, and where each text is spoken.

    The clips come in their own order, again and again (their neighbours are part of what was tried out),
    from one that the seed chooses, with random pauses between.
    """
    rng = random.Random(seed)
    speech = {clip.file: read(folder / clip.file) for clip in clips}
    first = rng.randrange(len(clips))
    parts: list[Samples] = []
    spans: list[Span] = []
    position = 0
    for clip in itertools.cycle([*clips[first:], *clips[:first]]):
        pause = silence(rng.uniform(*PAUSES))
        start = position + len(pause)
        position = start + len(speech[clip.file])
        parts += [pause, speech[clip.file]]
        spans.append(Span(start / SAMPLE_RATE, position / SAMPLE_RATE, clip.text))
        if position >= minutes * 60 * SAMPLE_RATE:
            break
    return np.concatenate([*parts, silence(PAUSES[1])]), spans


def windows(samples: Samples, spans: Sequence[Span], seed: int) -> Iterator[tuple[Samples, list[Span]]]:
    """Cut a long recording as a service may: up to 30 s that begin shortly before a clip and end in a pause."""
    rng = random.Random(seed)
    rest = list(spans)
    while rest:
        start = rest[0].start - rng.uniform(0, LEAD)
        count = sum(span.end <= start + WINDOW for span in rest)
        inside, rest = rest[:count], rest[count:]
        end = min(start + WINDOW, inside[-1].end + rng.uniform(0, PAUSES[0]))
        yield samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)], inside


def write_long(out: Path, minutes: float, seed: int, folder: Path) -> None:
    """Write a long recording as FLAC, and its words and where each clip is spoken beside it as JSON."""
    samples, spans = join([clip for clip in read_manifest(folder) if clip.long], minutes, seed, folder)
    write(out, samples)
    words = {
        "language": "en",
        "seconds": seconds_of(samples),
        "text": " ".join(span.text for span in spans),
        "spans": [dataclasses.asdict(span) for span in spans],
    }
    out.with_suffix(".json").write_text(json.dumps(words, indent=1) + "\n")
    print(f"{out}: {len(samples) / SAMPLE_RATE:.1f} s, {len(spans)} clips")
