"""Which characters are two columns wide: browsers cannot tell, and subtitles are broken by it."""

import unicodedata
from itertools import groupby

LAST = 0x3FFFD
"""No character above is wide (Unicode Standard Annex 11)."""


def wide_ranges() -> list[tuple[int, int]]:
    """First and last code point of each run of wide characters, as `asr_api.subtitles` counts them."""
    wide = (point for point in range(LAST + 1) if unicodedata.east_asian_width(chr(point)) in {"W", "F"})
    runs = groupby(enumerate(wide), key=lambda pair: pair[1] - pair[0])
    return [(points[0], points[-1]) for points in ([point for _, point in run] for _, run in runs)]
