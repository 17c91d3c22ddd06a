"""What CTranslate2 can do on this machine, without a model."""

import ctypes
from collections.abc import Callable

import ctranslate2

from asr_api.engine.cuda import LIBRARIES, installed_files


def library_version() -> str:
    return str(ctranslate2.__version__)


def visible_gpus() -> int:
    """The GPUs that CUDA shows; 0 without a driver, or with one that is too old for the library."""
    return int(ctranslate2.get_cuda_device_count())


def supported_compute_types(device: str, index: int) -> frozenset[str]:
    """Empty where the device cannot be used at all."""
    try:
        return frozenset(ctranslate2.get_supported_compute_types(device, index))
    except (RuntimeError, ValueError):
        return frozenset()


def missing_libraries(load: Callable[[str], object] = ctypes.CDLL) -> tuple[str, ...]:
    """Those of the CUDA libraries that are neither in their wheel nor on the linker's path."""
    there = {path.name for path in installed_files() if path.is_file()}
    return tuple(name for name in LIBRARIES if name not in there and not _loads(name, load))


def _loads(name: str, load: Callable[[str], object]) -> bool:
    try:
        load(name)
    except OSError:
        return False
    return True
