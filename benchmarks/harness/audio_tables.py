"""What is told of the audio front end, as rows of text."""

import statistics
from collections.abc import Iterator, Sequence

from .audio_files import Sound
from .audio_pool import Fed, Growth
from .audio_stages import Likeness, Stages, Turn
from .table import figure

AIM = 0.5
"""Of faster-whisper's processor time."""

LATENCY_AIM = 2.0
"""Seconds until the first chunk of a long file should be there."""

MEMORY_AIM = 300 << 20
"""Bytes over what is taken before, that a long file may take at most."""

STAGES = ("CPU s for an hour of audio", "ours", "range", "faster-whisper", "range", "ratio", "half")
MEL = ("CPU s for an hour of audio", "ours", "theirs, of chunks", "theirs, of the file", "audio min: ours", "theirs")
LIKENESS = (
    "file",
    "samples",
    "missing",
    "largest difference",
    "spans",
    "different",
    "largest shift ms",
    "chunks",
    "features: largest difference",
    "equal",
)
FEED = (
    "file",
    "files at once",
    "audio h/min",
    "range",
    "workers' CPU s/h",
    "threads",
    "own CPU s/h",
    "cores used",
    "others' cores",
)
LATENCY = ("first chunk", "seconds", "range", f"within {LATENCY_AIM:g} s")
MEMORY = ("memory", "worker idle MB", "worker +MB", "own process +MB", "chunks", "on disk MB", "both under 300 MB")


def spread(values: Sequence[float], digits: int = 2) -> list[str]:
    """The median, and the lowest to the highest."""
    lowest, highest = figure(min(values), digits), figure(max(values), digits)
    return [figure(statistics.median(values), digits), f"{lowest} to {highest}"]


def yes(met: bool) -> str:
    return "yes" if met else "NO"


def kinder(stages: Stages) -> Stages:
    """With the cheaper of faster-whisper's two ways to make features."""
    whole = stages.mel if stages.whole_mel is None else stages.whole_mel
    return Stages(stages.decode, stages.speech, min(stages.mel, whole))


def by_file(turns: Sequence[Turn]) -> Iterator[tuple[Sound, list[Turn]]]:
    for sound in dict.fromkeys(turn.sound for turn in turns):
        yield sound, [turn for turn in turns if turn.sound == sound]


def stage_rows(turns: Sequence[Turn]) -> list[list[str]]:
    """A row a step and one for all, for each file."""
    rows = []
    for sound, own in by_file(turns):
        for stage in ("decode", "speech", "mel", "total"):
            ours = [hourly(getattr(turn.ours.stages, stage), sound) for turn in own]
            theirs = [hourly(getattr(kinder(turn.theirs.stages), stage), sound) for turn in own]
            ratio = statistics.median(ours) / statistics.median(theirs)
            met = yes(ratio <= AIM) if stage == "total" else ""
            rows.append([f"{sound.format.name}: {stage}", *spread(ours), *spread(theirs), figure(ratio), met])
    return rows


def mel_rows(turns: Sequence[Turn]) -> list[list[str]]:
    """Faster-whisper's two ways beside ours, and how much audio is in the chunks of each side."""
    rows = []
    for sound, own in by_file(turns):
        ours = statistics.median(hourly(turn.ours.stages.mel, sound) for turn in own)
        theirs = statistics.median(hourly(turn.theirs.stages.mel, sound) for turn in own)
        whole = statistics.median(hourly(turn.theirs.stages.whole_mel or 0.0, sound) for turn in own)
        seconds = (own[0].ours.seconds, own[0].theirs.seconds)
        rows.append([sound.label, *map(figure, (ours, theirs, whole)), *(figure(each / 60) for each in seconds)])
    return rows


def hourly(seconds: float, sound: Sound) -> float:
    return seconds * 3600 / sound.seconds


def likeness_row(like: Likeness) -> list[str]:
    return [
        like.file,
        f"{like.samples:,}",
        str(like.missing_samples),
        f"{like.sample_difference:.1e}" if like.sample_difference else "0",
        str(like.spans),
        str(like.different_spans),
        figure(like.shift_ms, 1),
        str(like.chunks),
        f"{like.feature_difference:.1e}",
        yes(like.equal),
    ]


def feed_rows(fed: Sequence[Fed]) -> Iterator[list[str]]:
    for file in dict.fromkeys(each.file for each in fed):
        own = [each for each in fed if each.file == file]
        hours = sum(each.audio_seconds for each in own) / 3600
        worker, parent = sum(each.worker_cpu for each in own), sum(each.own_cpu for each in own)
        yield [
            file,
            str(own[0].files),
            *spread([each.hours_a_minute for each in own]),
            figure(worker / hours),
            str(max(each.worker_threads for each in own)),
            figure(parent / hours),
            figure((worker + parent) / sum(each.seconds for each in own)),
            figure(max((each.others_cores for each in own if each.others_cores is not None), default=None)),
        ]


def latency_rows(taken: Sequence[tuple[str, float]]) -> Iterator[list[str]]:
    for file in dict.fromkeys(file for file, _ in taken):
        seconds = [each for own, each in taken if own == file]
        yield [file, *spread(seconds, 3), yes(max(seconds) <= LATENCY_AIM)]


def memory_row(grown: Growth) -> list[str]:
    sizes = (grown.worker_idle, grown.worker, grown.parent)
    met = max(grown.worker, grown.parent) < MEMORY_AIM
    return [
        grown.file,
        *(figure(size / (1 << 20), 0) for size in sizes),
        str(grown.chunks),
        figure(grown.spooled / (1 << 20), 0),
        yes(met),
    ]
