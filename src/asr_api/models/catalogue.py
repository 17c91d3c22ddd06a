"""The names a model can have, and the hub repository that each stands for."""

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from asr_api.errors import ModelUnavailable

BUNDLED: Final = "callsign"
"""The small model that comes with the package."""

BASE_REPOSITORY: Final = "Systran/faster-whisper-base"

REPOSITORIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tiny": "Systran/faster-whisper-tiny",
        "tiny.en": "Systran/faster-whisper-tiny.en",
        "base": BASE_REPOSITORY,
        "base.en": "Systran/faster-whisper-base.en",
        "small": "Systran/faster-whisper-small",
        "small.en": "Systran/faster-whisper-small.en",
        "medium": "Systran/faster-whisper-medium",
        "medium.en": "Systran/faster-whisper-medium.en",
        "large": "Systran/faster-whisper-large-v3",
        "large-v1": "Systran/faster-whisper-large-v1",
        "large-v2": "Systran/faster-whisper-large-v2",
        "large-v3": "Systran/faster-whisper-large-v3",
        "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        "distil-small.en": "Systran/faster-distil-whisper-small.en",
        "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
        "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
        "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
        "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
    }
)
"""faster-whisper 1.2.1's sizes. Its own table is private and `available_models()` gives the names
without the repositories, so the table is here; a test compares the names, and tells of a new size.
"""


def repository_of(name: str) -> str:
    """The hub id (`owner/name`) of a size, or of a name that is one already.

    Raises ModelUnavailable, with the names near it, where it is neither.
    """
    if name in REPOSITORIES:
        return REPOSITORIES[name]
    if _is_hub_id(name):
        return name
    near = difflib.get_close_matches(name.lower(), [BUNDLED, *REPOSITORIES], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"take one of {', '.join([BUNDLED, *REPOSITORIES])},"
    raise ModelUnavailable(
        f"there is no model {name!r}: {hint} a hub id (owner/name) or a local folder will do as well", param="ASR_MODEL"
    )


def _is_hub_id(name: str) -> bool:
    """The hub's rule for names: letters, digits and `-_.`, none of `-.` at an end, no `--` or `..`."""
    part = r"\w([\w.-]*\w)?"
    return bool(re.fullmatch(f"{part}/{part}", name, re.ASCII)) and "--" not in name and ".." not in name
