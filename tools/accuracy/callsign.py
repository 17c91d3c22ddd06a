"""The bundled call-sign model beside faster-whisper, on voices that it was not trained on.

python -m tools.accuracy.callsign            # the repository's recordings
python -m tools.accuracy.callsign --full     # 96 utterances; apt-get install espeak-ng, once
"""

from benchmarks.harness.clips import DATA, read_clips
from platformdirs import user_cache_path

from asr_api.models.catalogue import BUNDLED

from .command import alone
from .corpus import spaced_words, utterances
from .report import Comparison
from .sides import compared

CALLSIGN = DATA / "callsign" / "manifest.json"
UTTERANCES, FILES = 16, 4
"""Of each language: utterances, and files of single words for their times."""
SEED = 1


def measure(full: bool, every: int = 1) -> Comparison:
    """With `every`, so many times fewer recordings. Raises NoSynthesiser where they have yet to be made."""
    if not full:
        return compared(BUNDLED, read_clips(CALLSIGN))
    work = user_cache_path("asr-api") / "accuracy"
    return compared(BUNDLED, utterances(work, UTTERANCES // every, SEED), spaced_words(work, FILES // every, SEED))


if __name__ == "__main__":
    alone("callsign")
