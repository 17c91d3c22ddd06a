"""The words of the page, in each of its languages."""

import json
from dataclasses import dataclass
from pathlib import Path

from asr_api.http.languages import NAMES

FILES = Path(__file__).parent / "page"
"""The page's own files: scripts, styles and words."""


@dataclass(frozen=True, slots=True)
class Labels:
    """`words` by language of the page, then by name; `languages` are the codes that may be asked for."""

    words: dict[str, dict[str, str]]
    languages: tuple[str, ...]

    def translations(self) -> dict[str, dict[str, str]]:
        """As Gradio wants them; Chinese under every name that browsers have for it."""
        chinese = self.words["zh"]
        return {**self.words, "zh-CN": chinese, "zh-TW": chinese}


def read_labels() -> Labels:
    """The words in `labels.json`; a spoken language that is not named there has its English name."""
    words: dict[str, dict[str, str]] = json.loads((FILES / "labels.json").read_text(encoding="utf-8"))
    names = {f"language_{code}": name.title() for code, name in NAMES.items()}
    ordered = sorted(NAMES, key=NAMES.__getitem__)
    return Labels({locale: names | own for locale, own in words.items()}, tuple(ordered))
