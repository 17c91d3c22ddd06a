"""The bundled model in the shape of a real Whisper, made by the repository's own tool."""

import shutil
import subprocess
import sys
from pathlib import Path

from .clips import CALLSIGN
from .report import tell
from .results import kept_out

TOOL = Path(__file__).parents[2] / "tools" / "callsign_model"
SHAPES = ("tiny", "base", "small", "medium", "large-v3", "large-v3-turbo")


class WideningFailed(Exception):
    """The tool ended with an error; the message has the end of what it said."""


def widened(shape: str, folder: Path, python: str = sys.executable) -> Path:
    """The model of a shape in a folder of its own under `folder`, in float16, made where it is not there yet.

    `python` is one that has torch, ctranslate2 and tokenizers. Raises WideningFailed.
    """
    out = kept_out(folder.absolute()) / f"{CALLSIGN}-{shape}"
    if not out.is_dir():
        tell(f"widening {CALLSIGN} to {shape}")
        _widen(shape, out, python)
    return out


def _widen(shape: str, out: Path, python: str) -> None:
    """Into a folder that has its name only once it is complete."""
    part = out.with_name(f".{out.name}.part")
    inputs = ["--tiktoken", "multilingual.tiktoken", "--checkpoint", "checkpoint.pt"]
    interpreter = Path(shutil.which(python) or python).absolute()  # the tool runs in its own folder
    command = [str(interpreter), "widen.py", *inputs, "--shape", shape, "--out", str(part), "--quantization", "float16"]
    done = subprocess.run(command, cwd=TOOL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WideningFailed(f"{python} widen.py --shape {shape} ended with {done.returncode}:\n{done.stderr[-1000:]}")
    part.rename(out)
