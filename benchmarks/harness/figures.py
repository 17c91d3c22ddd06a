"""What is reported of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from .loop import Run
from .words import Spoken, word_errors


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts, rates and latencies, of answers only; `rtfx` is seconds of audio a second.

    Latencies are in seconds and `word_errors` is a share; all are None where nothing was answered.
    `exact` counts the answers that have the clip's text to the letter.
    """

    concurrency: int
    requests: int
    errors: int
    seconds: float
    audio_seconds: float
    requests_per_second: float
    rtfx: float
    p50: float | None
    p95: float | None
    p99: float | None
    word_errors: float | None
    exact: int

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Self:
        """The figures of one or more runs, one after another, at the same concurrency."""
        answers = [answer for run in runs for answer in run.answers]
        good = [answer for answer in answers if answer.error is None]
        seconds = sum(run.seconds for run in runs)
        audio = sum(answer.clip.seconds for answer in good)
        p50, p95, p99 = percentiles([answer.seconds for answer in good], (50, 95, 99))
        return cls(
            concurrency=runs[0].concurrency,
            requests=len(answers),
            errors=len(answers) - len(good),
            seconds=seconds,
            audio_seconds=audio,
            requests_per_second=len(good) / seconds,
            rtfx=audio / seconds,
            p50=p50,
            p95=p95,
            p99=p99,
            word_errors=word_errors([Spoken(a.clip.text, a.clip.language, a.text) for a in good]),
            exact=sum(answer.text == answer.clip.text for answer in good),
        )


def percentiles(values: Sequence[float], ranks: Sequence[float]) -> list[float | None]:
    """The values below which so many percent lie, between two of them by a straight line; None where there is none."""
    if not values:
        return [None] * len(ranks)
    return [float(value) for value in np.percentile(values, ranks)]
