"""What `asr-api calibrate` found of models, kept beside them so that the service knows it at its next start."""

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, Self

FOLDER: Final = "calibrations"
"""In the folder of models."""

WEIGHTS: Final = "model.bin"

PROBED = 1 << 20
"""Bytes of each end of the weights that are read: training changes all of them."""

logger = logging.getLogger(__name__)


def fingerprint(folder: Path) -> str:
    """What tells weights from any others, whatever their folder is called; "" where there are none to read."""
    try:
        with (folder / WEIGHTS).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            digest = hashlib.sha256(b"%d " % size + file.read(PROBED))
            file.seek(max(0, size - PROBED))
            digest.update(file.read(PROBED))
    except OSError:
        return ""
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The `audio_context` that was shown for a model whose weights have a `fingerprint`, and on what.

    `whole` and `short` are error rates; between `low` and `high` lies the second less the first with 95 % confidence.
    """

    model: str
    fingerprint: str
    audio_context: Literal["short", "whole"]
    compute_type: str
    steps: tuple[float, ...]
    margin: float
    recordings: int
    words: int
    whole: float
    short: float
    low: float
    high: float
    date: str

    @classmethod
    def read(cls, model_dir: Path, fingerprint: str) -> Self | None:
        """What is known of these weights; None where nothing is, or where it cannot be read."""
        path = path_of(model_dir, fingerprint)
        try:
            fields = json.loads(path.read_bytes())
            return cls(**fields | {"steps": tuple(fields["steps"])})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning("a calibration cannot be read and does not count: %s (%s)", path, error)
            return None

    def write(self, model_dir: Path) -> Path:
        """The file that now holds it, in the place of an earlier one. Raises OSError."""
        path = path_of(model_dir, self.fingerprint)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)
        return path


def path_of(model_dir: Path, fingerprint: str) -> Path:
    """Where the finding about these weights is kept."""
    return model_dir / FOLDER / f"{fingerprint[:32] or 'unknown'}.json"
