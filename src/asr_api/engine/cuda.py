"""cuBLAS from its wheel, found without LD_LIBRARY_PATH."""

import ctypes
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

LIBRARIES = ("libcublasLt.so.12", "libcublas.so.12")
"""What CTranslate2 4.8 opens on a GPU, in the order in which they need each other; it uses no cuDNN."""

PACKAGE = "nvidia-cublas-cu12"


def installed_files() -> Iterable[Path]:
    """The files of the cuBLAS wheel; none where it is not installed."""
    try:
        found = distribution(PACKAGE)
    except PackageNotFoundError:
        return []
    return [Path(str(file.locate())) for file in found.files or []]


def load_cublas(
    files: Callable[[], Iterable[Path]] = installed_files, load: Callable[[str], object] = ctypes.CDLL
) -> list[str]:
    """Load the wheel's libraries, so that CTranslate2 finds them loaded; return which there were.

    Where the wheel is absent nothing happens: the libraries may be on the linker's own path.
    """
    by_name = {path.name: path for path in files()}
    present = [name for name in LIBRARIES if name in by_name]
    for name in present:
        load(str(by_name[name]))
    return present
