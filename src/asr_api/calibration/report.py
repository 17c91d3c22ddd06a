"""What the comparison says, for people and for programs."""

import json
from collections.abc import Iterator
from pathlib import Path

from asr_api.calibration.bootstrap import Interval
from asr_api.calibration.comparison import ENOUGH_WORDS, TOLERANCE, Comparison

SHOWN = 5
"""Recordings that differ are listed up to so many."""


def as_text(found: Comparison, kept: Path | None) -> str:
    """Lines for a terminal; `kept` is the file that holds the finding now."""
    return "".join(f"{line}\n" for line in [*_figures(found), *_differing(found), "", _sentence(found, kept)])


def as_json(found: Comparison, kept: Path | None) -> str:
    """The same as one JSON object: `verdict`, the counts and rates, and `differing` with both texts of each."""
    interval = {"value": found.less.value, "low": found.less.low, "high": found.less.high}
    body = {
        "model": found.whole.info.model,
        "compute_type": found.whole.info.compute_type,
        "verdict": found.verdict,
        "kept": str(kept) if kept else None,
        "recordings": len(found.pairs),
        "with_text": found.known,
        "words": found.words,
        "errors": {"whole": found.whole_rate.value, "short": found.short_rate.value, "difference": interval},
        "engine_seconds": {"whole": found.whole.engine_seconds, "short": found.short.engine_seconds},
        "heard_again": found.short.again,
        "differing": [
            {
                "file": str(pair.path),
                "said": pair.said if pair.known else None,
                "whole": pair.whole,
                "short": pair.short,
            }
            for pair in found.differing
        ],
    }
    return json.dumps(body, ensure_ascii=False, indent=1)


def _figures(found: Comparison) -> Iterator[str]:
    info, whole, short = found.whole.info, found.whole.engine_seconds, found.short.engine_seconds
    yield f"{info.model} on {info.device} ({info.compute_type}): {_recordings(found)}, {found.words} words"
    yield f"errors on 30 s         {_percent(found.whole_rate)} %"
    yield f"errors on short ones   {_percent(found.short_rate)} %"
    yield f"difference             {_percent(found.less)} points"
    times = f", {whole / short:.1f} times less" if short else ""
    yield f"engine                 {whole:.1f} s on 30 s, {short:.1f} s on short ones{times}"
    yield f"heard again on 30 s    {found.short.again} chunks"
    yield f"texts that differ      {len(found.differing)}"


def _recordings(found: Comparison) -> str:
    unknown = len(found.pairs) - found.known
    what = f"{len(found.pairs)} recordings"
    return f"{what} ({unknown} without a text: what 30 s hear counts as said)" if unknown else what


def _differing(found: Comparison) -> Iterator[str]:
    for pair in found.differing[:SHOWN]:
        yield f"\n{pair.path.name}" + (f": {pair.said}" if pair.known else "")
        yield f"  30 s:  {pair.whole}"
        yield f"  short: {pair.short}"


def _sentence(found: Comparison, kept: Path | None) -> str:
    if found.verdict == "short":
        return f"Short contexts hear the same words: ASR_AUDIO_CONTEXT=auto now means short for this model ({kept})."
    if found.verdict == "whole":
        return f"Short contexts lose words: ASR_AUDIO_CONTEXT=auto now means whole for this model ({kept})."
    if found.words < ENOUGH_WORDS:
        return f"Nothing is shown by {found.words} words: {ENOUGH_WORDS} are the least. Give more recordings."
    return (
        f"Nothing is shown: the difference may be above {100 * TOLERANCE:g} point. Give more recordings; "
        "twice as many narrow the interval by a third."
    )


def _percent(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"
