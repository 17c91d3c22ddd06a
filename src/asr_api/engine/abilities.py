"""What CTranslate2 can do on this machine, and what is best there, without a model."""

import ctypes
import os
from collections.abc import Callable

import ctranslate2

from asr_api.engine.cuda import LIBRARIES, installed_files


def choose_device(device: str) -> str:
    """`auto` is a GPU where CTranslate2 sees one."""
    if device != "auto":
        return device
    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


def choose_compute_type(compute_type: str, device: str) -> str:
    """`auto` is float16 on a GPU and int8 on a CPU."""
    if compute_type != "auto":
        return compute_type
    return "float16" if device == "cuda" else "int8"


def available_cores() -> int:
    """Cores that this process may use; CTranslate2 would take four threads whatever there is."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_a_call(workers: int) -> int:
    """On a CPU: each core is given out twice, but no call gets more threads than there are cores."""
    cores = available_cores()
    return min(cores, max(1, 2 * cores // workers))


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
