"""What an engine must show before it is ready: that it reads a recording whose words are known."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from importlib.resources import files

from asr_api.engine.protocol import DecodingOptions, DecodingResult, DecodingTask, EngineInfo
from asr_api.errors import ModelUnavailable
from asr_api.spectrogram import Features

logger = logging.getLogger(__name__)

BUNDLED = "callsign"
ENOUGH = 0.7
"""Share of the words that any Whisper, even `tiny`, reads right in the sample."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A recording that comes with the package."""

    name: str
    text: str
    language: str

    @property
    def path(self) -> str:
        return str(files("asr_api.samples") / self.name)


def sample_for(model: str) -> Sample:
    """The sample that the model can read: call signs for the bundled one, the 1961 address for any other."""
    name = "callsign.flac" if model == BUNDLED else "jfk.flac"
    table = json.loads((files("asr_api.samples") / "samples.json").read_text(encoding="utf-8"))
    return Sample(name, table[name]["text"], table[name]["language"])


@dataclass(frozen=True, slots=True)
class SelfTest:
    """`hear` makes of the sample, for so many mel bands, its features and its length in seconds."""

    sample: Sample
    hear: Callable[[Sample, int], tuple[Features, float]]

    def task(self, info: EngineInfo) -> DecodingTask:
        """What the engine is asked."""
        features, seconds = self.hear(self.sample, info.n_mels)
        language = self.sample.language if self.sample.language in info.languages else None
        return DecodingTask(features, seconds, language, "transcribe", (), DecodingOptions(beam_size=1))

    def check(self, result: DecodingResult | Exception, info: EngineInfo) -> str:
        """The words that were read.

        Raises ModelUnavailable where nothing is heard, which is how a driver that does not fit
        shows itself; other words than expected are only logged, since a model may be made for one
        language. Raises what the engine answered where that is an exception.
        """
        if isinstance(result, Exception):
            raise result
        if not result.text.strip():
            raise ModelUnavailable(
                f"the model {info.model} hears nothing in a recording of {self.sample.text!r}: "
                "its files are damaged, or the GPU driver is too old (CTranslate2 needs 570 or later)"
            )
        if likeness(result.text, self.sample.text) < ENOUGH:
            logger.warning("the self-test read other words than expected", extra={"expected": self.sample.text})
        return result.text.strip()


def likeness(text: str, expected: str) -> float:
    """How much of two texts is equal, word by word, from 0 to 1."""
    return SequenceMatcher(None, _words(text), _words(expected), autojunk=False).ratio()


def _words(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()
