"""Segments as subtitles, in SubRip (SRT) and WebVTT: whatever the text and the times, the file is well formed."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from asr_api.transcription import Segment

LINE_WIDTH = 42
"""Columns of a line, as usual for subtitles (Netflix and BBC timed-text guidelines)."""

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")

UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
"""Characters of scripts that write no spaces: Thai, Lao, Burmese, Khmer, Chinese and Japanese."""

NOT_FIRST_CATEGORIES = {"Mn", "Mc", "Me", "Cf", "Lm", "Pe", "Pf", "Po"}
NOT_FIRST = "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶะาำ"
NOT_LAST_CATEGORIES = {"Ps", "Pi", "Cf"}
NOT_LAST = "เแโใไ"
"""What a line neither begins nor ends with: marks, closing and opening punctuation, small kana, half a Thai vowel.

After W3C, Requirements for Japanese Text Layout (3.1.7, 3.1.8) and Thai Layout Requirements.
"""


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: times in whole milliseconds, and one or two lines of text."""

    start: int
    end: int
    text: str


def srt(segments: Iterable[Segment], max_line_width: int = LINE_WIDTH) -> str:
    """The segments as SubRip; "" where there is no text.

    Cues stand in the order of their starts and never overlap, each lasts at least 1 ms. SubRip
    has no way to escape its arrow: `-->` in a text is written `- ->`.
    """
    return "".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text.replace('-->', '- ->')}\n\n"
        for number, cue in enumerate(_cues(segments, max_line_width), 1)
    )


def vtt(segments: Iterable[Segment], max_line_width: int = LINE_WIDTH) -> str:
    """The segments as WebVTT (W3C), with no cue but the header where there is no text.

    Cues stand in the order of their starts and never overlap, each lasts at least 1 ms; `&`, `<`
    and `>` are escaped.
    """
    return "WEBVTT\n\n" + "".join(
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_escaped(cue.text)}\n\n"
        for cue in _cues(segments, max_line_width)
    )


def _cues(segments: Iterable[Segment], max_line_width: int) -> Iterator[Cue]:
    """A cue ends at the start of the next at the latest, and one that starts with the last starts 1 ms after it."""
    texts = ((segment, _plain(segment.text)) for segment in segments)
    shown = sorted(((segment, text) for segment, text in texts if text), key=lambda pair: pair[0].start)
    wanted = (_milliseconds(segment.start) for segment, _ in shown)
    starts = list(accumulate(wanted, lambda last, start: max(start, last + 1)))
    for n, (segment, text) in enumerate(shown):
        end = min([_milliseconds(segment.end), *starts[n + 1 : n + 2]])
        yield Cue(starts[n], max(end, starts[n] + 1), _broken(text, max_line_width))


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{point}{milliseconds:03}"


def _plain(text: str) -> str:
    """The text on one line: every control character, line end and run of spaces is a space."""
    return " ".join(CONTROLS.sub(" ", text).split())


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _broken(text: str, max_line_width: int) -> str:
    """The text on one line where it fits, else on two.

    Both lines fit if they can; then a space or a stop is a better place to cut than another, then
    lines alike in width, then a shorter first line. Nothing is ever left out: what has no place
    to be cut stays on one line, and what is too long for two has them longer.
    """
    columns = [0, *accumulate(map(_width, text))]

    def worth(place: int) -> tuple[int, bool, int, int]:
        spaced = text[place] == " "
        inside = not spaced and unicodedata.category(text[place - 1]) != "Po"
        left, right = columns[place], columns[-1] - columns[place] - spaced
        longest = max(left, right)
        return max(longest, max_line_width), inside, longest, left

    places = [place for place in range(1, len(text)) if _may_cut(text[place - 1], text[place])]
    if columns[-1] <= max_line_width or not places:
        return text
    cut = min(places, key=worth)
    return f"{text[:cut]}\n{text[cut:].lstrip()}"


def _width(character: str) -> int:
    """Columns of a character: 2 of a wide one, none of a mark (Unicode Standard Annex 11)."""
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _may_cut(before: str, after: str) -> bool:
    """Whether a line may end between two characters: at a space, or beside a script without spaces."""
    if " " in (before, after):
        return after == " "
    ends = before not in NOT_LAST and unicodedata.category(before) not in NOT_LAST_CATEGORIES
    begins = after not in NOT_FIRST and unicodedata.category(after) not in NOT_FIRST_CATEGORIES
    return ends and begins and UNSPACED.search(before + after) is not None
