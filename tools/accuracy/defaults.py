"""What decoding settings cost, and what they bring: beams, the ladder, alignment, timestamp tokens, compute types.

python -m tools.accuracy.defaults            # the repository's recordings of 2.5 to 14 s
python -m tools.accuracy.defaults --full     # Debian's English and Russian prompts of 2.5 to 14 s
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Final

from benchmarks.harness.clips import Choice, Clip, choose
from benchmarks.harness.folder import folder_of
from benchmarks.harness.report import tell
from benchmarks.harness.table import figure, markdown, percent

from asr_api.calibration.bootstrap import Interval, difference, error_rate
from asr_api.engine.abilities import choose_device

from .clips import MODEL, prompts
from .command import alone
from .reference import FasterWhisper
from .report import spread
from .scores import ALL, Score
from .service import Service, serving
from .sides import CONCURRENCY, carried

CHOICE = Choice(2.5, 14, ("en", "ru"))
"""Utterances as people send them, in the languages of which there are the most."""
NO_LADDER: Final[Mapping[str, str]] = MappingProxyType(
    {"log_prob_threshold": "-100", "compression_ratio_threshold": "100"}
)
"""Nothing counts as failed, so that nothing is decoded again at a higher temperature."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the service is asked, by its fields, and whether for the times of words; the first of all is the default."""

    name: str
    fields: Mapping[str, str]
    words: bool = False


DEFAULT = "5 beams"
SETTINGS = (
    Setting(DEFAULT, {"beam_size": "5"}),
    Setting("2 beams", {"beam_size": "2"}),
    Setting("1 beam", {"beam_size": "1"}),
    Setting("5 beams, no ladder", {"beam_size": "5", **NO_LADDER}),
    Setting("1 beam, no ladder", {"beam_size": "1", **NO_LADDER}),
    Setting("5 beams, words aligned", {"beam_size": "5"}, words=True),
)
ELSEWHERE = SETTINGS[:1] + SETTINGS[2:3]
"""What is asked in the other compute types."""
COMPUTE_TYPES = {"cpu": ("int8", "float32"), "cuda": ("float16", "int8_float16")}
TIMES: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "faster-whisper, no times": {"without_timestamps": True},
        "faster-whisper, timestamp tokens": {"without_timestamps": False},
        "faster-whisper, words aligned": {"without_timestamps": False, "word_timestamps": True},
    }
)
"""What timestamp tokens cost can only be seen where they are written: the service never does. Without them
faster-whisper goes on after the last aligned word, and hears some recordings again and again.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting; `busy` and `cpu` are seconds of the engine a second of audio, None where they are not known.

    `less` is its word errors less the default's, None for the default.
    """

    name: str
    compute_type: str
    scores: Sequence[Score]
    busy: float | None
    cpu: float | None
    less: Interval | None = None

    def errors(self, language: str = ALL) -> Interval | None:
        """Word errors of a language; None where there is no recording of it."""
        own = [score for score in self.scores if language in (ALL, score.clip.language)]
        return error_rate([score.errors for score in own], [score.words for score in own]) if own else None

    def beside(self, default: "Row") -> "Row":
        """With its difference from the default."""
        ours, theirs = ([score.errors for score in row.scores] for row in (self, default))
        less = difference(ours, theirs, [score.words for score in self.scores])
        return Row(self.name, self.compute_type, self.scores, self.busy, self.cpu, less)

    @property
    def key(self) -> str:
        return f"{self.name}, {self.compute_type}"


@dataclass(frozen=True, slots=True)
class Found:
    """All settings on the same recordings, the default first."""

    rows: Sequence[Row]

    @property
    def missed(self) -> list[str]:
        """What makes fewer errors than the default by more than chance explains."""
        return [
            f"{row.key}: {spread(row.less)} points against the default"
            for row in self.rows
            if row.less and row.less.high < 0
        ]

    def __str__(self) -> str:
        header = (
            *("setting", "compute type", "en, errors %", "ru, errors %", "all, errors %", "less the default"),
            *("engine busy, s per s", "its processor, s per s"),
        )
        scores = self.rows[0].scores
        seconds = sum(score.clip.seconds for score in scores)
        count = f"{len(scores)} recordings, {seconds / 60:.1f} minutes, {sum(score.words for score in scores)} words.\n"
        return f"{count}\n{markdown(header, [_cells(row) for row in self.rows])}"

    def as_json(self) -> dict[str, object]:
        return {
            row.key: {
                "errors": asdict(errors) if (errors := row.errors()) else None,
                "less": asdict(row.less) if row.less else None,
                "busy": row.busy,
                "cpu": row.cpu,
                "texts": {f"{score.clip.language}-{score.clip.path.name}": score.heard.text for score in row.scores},
            }
            for row in self.rows
        }


def measure(full: bool, every: int = 12) -> Found:
    """Each twelfth of Debian's prompts, unless `every` says otherwise, or each second of the repository's recordings:
    eleven hearings of all take too long.

    Raises NoPackages, StartupError, ServerFailed and httpx2.HTTPError.
    """
    clips = choose(prompts(), CHOICE)[::every] if full else choose(carried(), CHOICE)[::2]
    first, *others = COMPUTE_TYPES[choose_device("auto")]
    rows = list(_served(first, SETTINGS, clips))
    rows += [row for other in others for row in _served(other, ELSEWHERE, clips)]
    rows += _by_reference(first, clips)
    return Found([rows[0], *(row.beside(rows[0]) for row in rows[1:])])


def _served(compute_type: str, settings: Sequence[Setting], clips: Sequence[Clip]) -> Iterator[Row]:
    with serving(MODEL, compute_type, 5, CONCURRENCY, device=choose_device("auto")) as service:
        for setting in settings:
            tell(f"{len(clips)} recordings, {setting.name}, {compute_type}")
            row = _heard(service, setting, compute_type, clips)
            tell(f"  {sum(score.errors for score in row.scores)} errors, {figure(row.cpu, 3)} s of processor a second")
            yield row


def _heard(service: Service, setting: Setting, compute_type: str, clips: Sequence[Clip]) -> Row:
    seconds = sum(clip.seconds for clip in clips)
    counters, cpu = service.counters(), service.engine_cpu_seconds()
    heard = service.hear(clips, words=setting.words, **setting.fields)
    busy = service.counters().since(counters).busy_seconds
    scores = [Score.of(*pair) for pair in zip(clips, heard, strict=True)]
    return Row(setting.name, compute_type, scores, busy / seconds, (service.engine_cpu_seconds() - cpu) / seconds)


def _by_reference(compute_type: str, clips: Sequence[Clip]) -> Iterator[Row]:
    """The same weights and beams, with and without timestamp tokens; the language is told, so that it encodes once."""
    reference = FasterWhisper(folder_of(MODEL), compute_type, choose_device("auto"))
    for name, options in TIMES.items():
        tell(f"{len(clips)} recordings, {name}")
        scores: list[Score] = []
        began = time.process_time()
        for language in CHOICE.languages:
            own = [clip for clip in clips if clip.language == language]
            heard = reference.hear(own, {"language": language, **options})
            scores += [Score.of(*pair) for pair in zip(own, heard, strict=True)]
        cpu = (time.process_time() - began) / sum(clip.seconds for clip in clips)
        yield Row(name, compute_type, _in_order(scores, clips), None, cpu)


def _in_order(scores: Sequence[Score], clips: Sequence[Clip]) -> list[Score]:
    by_path = {score.clip.path: score for score in scores}
    return [by_path[clip.path] for clip in clips]


def _cells(row: Row) -> list[str]:
    languages = [percent(errors.value) if (errors := row.errors(one)) else "-" for one in CHOICE.languages]
    overall = row.errors()
    return [
        *(row.name, row.compute_type, *languages, spread(overall) if overall else "-"),
        *(spread(row.less) if row.less else "-", figure(row.busy, 3), figure(row.cpu, 3)),
    ]


if __name__ == "__main__":
    alone("defaults")
