"""Whether a model's files can be what their names say, where no checksum tells: read fast, without loading a model."""

import json
import struct
from pathlib import Path
from typing import BinaryIO, Final

from asr_api.models.manifest import MANIFEST

WEIGHTS: Final = "model.bin"
MAX_BINARY_VERSION: Final = 255
"""More is no version of CTranslate2's form, which has reached 6, but another file's first bytes."""

FIRST_WITH_BYTES: Final = 4
"""The first binary version whose variables tell their bytes."""


def fault_of_form(folder: Path) -> str | None:
    """The first file of a model folder that is cut off or of another form, in words that name it."""
    faults = (fault_of_file(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST)
    return next((fault for fault in faults if fault), None)


def fault_of_file(path: Path) -> str | None:
    """What keeps one file from being what its name says; None too for a name that says nothing."""
    if path.name == WEIGHTS:
        return _fault_of_weights(path)
    return _fault_of_json(path) if path.suffix == ".json" else None


def _fault_of_json(path: Path) -> str | None:
    try:
        json.loads(path.read_bytes())
    except ValueError as error:
        return f"{path.name} is not JSON ({error})"
    return None


def _fault_of_weights(path: Path) -> str | None:
    """CTranslate2's file holds the size of each variable before its bytes (`ModelSpec._serialize`, 4.8)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            (version,) = _read(file, "I")
            if version > MAX_BINARY_VERSION:
                return f"{path.name} is not in CTranslate2's form"
            if version < FIRST_WITH_BYTES:
                return None
            _skip_variables(file)
        except struct.error:
            return f"{path.name} is cut off after {size} bytes"
    return None


def _skip_variables(file: BinaryIO) -> None:
    """From the name of the model's class to the count of aliases, which follows the variables."""
    _skip(file, "H")
    _, variables = _read(file, "II")
    for _ in range(variables):
        _skip(file, "H")
        (rank,) = _read(file, "B")
        file.seek(4 * rank + 1, 1)  # dimensions and type
        _skip(file, "I")
    _read(file, "I")


def _skip(file: BinaryIO, form: str) -> None:
    """Go past as many bytes as the number that is next says."""
    (size,) = _read(file, form)
    file.seek(size, 1)


def _read(file: BinaryIO, form: str) -> tuple[int, ...]:
    """Numbers in little-endian order. Raises struct.error at the end of the file."""
    form = "<" + form
    return struct.unpack(form, file.read(struct.calcsize(form)))
