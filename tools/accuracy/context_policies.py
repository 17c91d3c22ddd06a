"""Choices of audio context, judged by what was tried: word errors, engine time, runaways and word times."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from benchmarks.harness.clips import Clip
from benchmarks.harness.figures import percentiles

from asr_api.calibration.bootstrap import Interval, difference
from asr_api.fallback import AudioContext
from asr_api.spectrogram import FRAMES

from .context_trials import Caught, Tried
from .heard import Heard
from .scores import Score
from .spoiling import CLEAN

BOUNDS = (0.0, 1.0, 2.0, 3.0, 5.0, 30.0)
"""Seconds of silence between which trials are counted together."""
RUNAWAY = 3
"""Errors more than on 30 s, and half of the words, that make a text that stood one that should not have."""

Takes = Callable[[Tried], bool]

GROUPS: Mapping[str, Takes] = {
    "en": lambda one: one.condition == CLEAN.name and one.clip.language == "en",
    "ru": lambda one: one.condition == CLEAN.name and one.clip.language == "ru",
    "others": lambda one: one.condition == CLEAN.name and one.clip.language not in ("en", "ru"),
    "spoiled": lambda one: one.condition != CLEAN.name,
    "all": lambda one: True,
}
"""What is looked at apart. Of `others` no texts are known, so that what 30 s hear counts as said."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A recording by a policy: errors on 30 s and by it, whether it was heard on a short context, and whether
    again on 30 s.
    """

    tried: Tried
    words: int
    whole: int
    errors: int
    short: bool
    again: bool

    @property
    def ran_away(self) -> bool:
        """Whether a text stood that is far worse than that of 30 s."""
        more = self.errors - self.whole
        return self.short and not self.again and more >= max(RUNAWAY, self.words / 2)


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A policy over all recordings: `less` by group is its error rate less that of 30 s, and `engine` its share of
    the engine's time on 30 s, with what was heard again.
    """

    steps: tuple[float, ...]
    margin: float
    recordings: int
    short: int
    again: int
    ran_away: int
    engine: float
    less: Mapping[str, Interval]

    @classmethod
    def of(cls, policy: AudioContext, tried: Sequence[Tried], cost: Mapping[int, float]) -> Self:
        """`cost` is the engine's seconds for a chunk by context."""
        judged = [judge(policy, one) for one in tried]
        spent = [cost[policy.frames(one.tried.seconds)] + (cost[FRAMES] if one.again else 0.0) for one in judged]
        groups = {name: [one for one in judged if takes(one.tried)] for name, takes in GROUPS.items()}
        return cls(
            policy.steps,
            policy.margin,
            len(judged),
            sum(one.short for one in judged),
            sum(one.again for one in judged),
            sum(one.ran_away for one in judged),
            sum(spent) / (len(judged) * cost[FRAMES]),
            {name: _less(own) for name, own in groups.items() if sum(one.words for one in own)},
        )


@dataclass(frozen=True, slots=True)
class TrialRow:
    """The trials on one context with so much silence behind the sound: how many were caught, and by what."""

    context: float
    least: float
    most: float
    trials: int
    caught: Mapping[Caught, int]
    ran_away: int


@dataclass(frozen=True, slots=True)
class TimesRow:
    """Word times on a context less those on 30 s, without sign, in seconds, where both have the same words."""

    context: float
    words: int
    start_median: float | None
    start_p95: float | None
    end_median: float | None
    end_p95: float | None


def judge(policy: AudioContext, tried: Tried) -> Judged:
    """What the service would have made of the recording."""
    trial = tried.trials.get(policy.frames(tried.seconds))
    text = tried.whole.text if trial is None or trial.caught else trial.result.text
    words, whole, errors = _errors(tried, text)
    return Judged(tried, words, whole, errors, trial is not None, trial is not None and trial.caught is not None)


def trial_rows(tried: Sequence[Tried], contexts: Sequence[int]) -> list[TrialRow]:
    return [_trial_row(tried, context, least, most) for context in contexts for least, most in pairwise(BOUNDS)]


def times_row(tried: Sequence[Tried], context: int) -> TimesRow:
    starts, ends = [], []
    for one in tried:
        trial = one.trials.get(context)
        if trial is None or [word.word for word in trial.result.words] != [word.word for word in one.whole.words]:
            continue
        for ours, theirs in zip(trial.result.words, one.whole.words, strict=True):
            starts.append(abs(ours.start - theirs.start))
            ends.append(abs(ours.end - theirs.end))
    return TimesRow(context / 100, len(starts), *percentiles(starts, (50, 95)), *percentiles(ends, (50, 95)))


def _trial_row(tried: Sequence[Tried], context: int, least: float, most: float) -> TrialRow:
    here = [one for one in tried if context in one.trials and least <= context / 100 - one.seconds < most]
    found = [(one, one.trials[context]) for one in here]
    caught = dict(Counter(trial.caught for _, trial in found if trial.caught))
    stood = [(one, trial) for one, trial in found if trial.caught is None]
    ran_away = sum(_ran_away(one, trial.result.text) for one, trial in stood)
    return TrialRow(context / 100, least, most, len(found), caught, ran_away)


def _ran_away(tried: Tried, text: str) -> bool:
    return Judged(tried, *_errors(tried, text), short=True, again=False).ran_away


def _errors(tried: Tried, text: str) -> tuple[int, int, int]:
    """Words said, errors on 30 s, and errors of the text."""
    clip = tried.clip
    said = clip.text or tried.whole.text
    whole = Score.of(_saying(tried, said), Heard(tried.whole.text, clip.language))
    return whole.words, whole.errors, Score.of(_saying(tried, said), Heard(text, clip.language)).errors


def _saying(tried: Tried, text: str) -> Clip:
    return Clip(tried.clip.path, tried.clip.language, text, tried.clip.seconds)


def _less(judged: Sequence[Judged]) -> Interval:
    return difference([one.errors for one in judged], [one.whole for one in judged], [one.words for one in judged])
