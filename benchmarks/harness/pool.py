"""The driver's pool of a GPU's memory, from which CTranslate2 takes its own unless it is told another allocator."""

import ctypes
from collections.abc import Callable
from typing import Any

RELEASE_THRESHOLD = 4
"""CU_MEMPOOL_ATTR_RELEASE_THRESHOLD (cuda.h): bytes that the pool keeps when a stream is waited for; 0 by default."""

EVERYTHING = 2**64 - 1


class PoolFailed(Exception):
    """The driver refused."""


def keep_freed_memory(device: int = 0, load: Callable[[str], Any] = ctypes.CDLL) -> None:
    """Let the default pool of a GPU keep all that is freed, for as long as this process lives.

    Raises OSError where there is no driver, and PoolFailed where it refuses.
    """
    cuda = load("libcuda.so.1")
    number, pool, threshold = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64(EVERYTHING)
    _check("cuInit", cuda.cuInit(0))
    _check("cuDeviceGet", cuda.cuDeviceGet(ctypes.byref(number), device))
    _check("cuDeviceGetDefaultMemPool", cuda.cuDeviceGetDefaultMemPool(ctypes.byref(pool), number))
    _check("cuMemPoolSetAttribute", cuda.cuMemPoolSetAttribute(pool, RELEASE_THRESHOLD, ctypes.byref(threshold)))


def _check(name: str, result: int) -> None:
    """0 is CUDA_SUCCESS (cuda.h)."""
    if result:
        raise PoolFailed(f"{name} says {result}")
