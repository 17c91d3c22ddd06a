"""The command `asr-api calibrate`: both contexts on recordings, and the finding where the service finds it."""

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from asr_api.calibration.comparison import Comparison, CountErrors, compared
from asr_api.calibration.hearing import hear
from asr_api.calibration.report import as_json, as_text
from asr_api.errors import StartupError
from asr_api.fallback import SHORT
from asr_api.models.calibrations import Calibration
from asr_api.settings import Settings

Load = Callable[[str], Any]

TEXT = ".txt"


class CannotCalibrate(StartupError):
    """Nothing can be compared; the message says what to do."""

    exit_code: ClassVar[int] = 69


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks: the `language` spoken, None to have it detected; and the form of the report."""

    language: str | None = None
    as_json: bool = False


def calibrate(settings: Settings, folder: Path, wishes: Wishes, load: Load = importlib.import_module) -> int:
    """Print how the settings' model hears the recordings in `folder` on whole and on short contexts; the exit code is
    0 where `auto` now means short for it, else 1.

    Raises CannotCalibrate where a package is missing, there is nothing to hear or the finding cannot be kept, and
    StartupError where the model cannot be loaded.
    """
    count_errors = error_counter(load)
    recordings = recordings_in(folder)
    paths = [path for path, _ in recordings]
    whole = hear(settings, "whole", paths, wishes.language)
    short = hear(settings, "short", paths, wishes.language)
    found = compared(recordings, whole, short, count_errors)
    if not found.words:
        raise CannotCalibrate(f"nobody says a word in {folder}: give recordings of speech")
    kept = None if found.verdict == "undecided" else keep(found, settings.model_dir)
    sys.stdout.write(as_json(found, kept) + "\n" if wishes.as_json else as_text(found, kept))
    return int(found.verdict != "short")


def error_counter(load: Load) -> CountErrors:
    """Raises CannotCalibrate where the extra is not installed."""
    try:
        counter: CountErrors = load("asr_api.calibration.words").count_errors
    except ImportError as error:
        raise CannotCalibrate(
            "word errors are counted with jiwer and OpenAI's normaliser; install them: pip install 'asr-api[calibrate]'"
        ) from error
    return counter


def recordings_in(folder: Path) -> Sequence[tuple[Path, str]]:
    """Each file of the folder in order, with the text in the `.txt` beside it, or "". Raises CannotCalibrate."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    recordings = [(path, _text_beside(path)) for path in files if path.suffix != TEXT]
    if not recordings:
        raise CannotCalibrate(f"there are no recordings in {folder}")
    return recordings


def keep(found: Comparison, model_dir: Path) -> Path:
    """Write the finding for the next start of the service. Raises CannotCalibrate."""
    info, less = found.whole.info, found.less
    calibration = Calibration(
        model=info.model,
        fingerprint=info.fingerprint,
        audio_context="short" if found.verdict == "short" else "whole",
        compute_type=info.compute_type,
        steps=SHORT.steps,
        margin=SHORT.margin,
        recordings=len(found.pairs),
        words=found.words,
        whole=found.whole_rate.value,
        short=found.short_rate.value,
        low=less.low,
        high=less.high,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        return calibration.write(model_dir)
    except OSError as error:
        raise CannotCalibrate(
            f"the finding ({calibration.audio_context}) cannot be kept in {model_dir} ({error.strerror or error}): "
            f"give write access there, or set ASR_AUDIO_CONTEXT={calibration.audio_context}"
        ) from error


def _text_beside(path: Path) -> str:
    text = path.with_suffix(TEXT)
    return text.read_text(encoding="utf-8").strip() if text.is_file() else ""
