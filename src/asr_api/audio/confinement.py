"""What a decode worker gives up before it sees the first file: memory, files, the network, other programs.

Every step is the kernel's and cannot be taken back by the process itself. Where a system lacks
one of them (macOS has neither address space limits nor seccomp), the others stand.
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
"""From linux/prctl.h and linux/seccomp.h."""

LOAD, JUMP_IF_EQUAL, JUMP_IF_GREATER_OR_EQUAL, RETURN = 0x20, 0x15, 0x35, 0x06
"""The classic BPF instructions that are needed (linux/bpf_common.h)."""

ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
"""What a filter returns; a refusal carries the errno that the caller gets."""

EPERM = 1
FIRST_X32_CALL = 0x40000000
"""System calls from here on are those of the x32 ABI, by which the list could be gone round."""

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The kernel's numbers of the architectures (linux/audit.h)."""

FORBIDDEN = {
    "x86_64": {
        "open": 2, "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "execve": 59,
        "ptrace": 101, "openat": 257, "accept4": 288, "process_vm_readv": 310, "process_vm_writev": 311,
        "execveat": 322, "io_uring_setup": 425, "openat2": 437,
    },
    "aarch64": {
        "openat": 56, "ptrace": 117, "socket": 198, "bind": 200, "listen": 201, "accept": 202, "connect": 203,
        "execve": 221, "accept4": 242, "process_vm_readv": 270, "process_vm_writev": 271, "execveat": 281,
        "io_uring_setup": 425, "openat2": 437,
    },
}  # fmt: skip
"""System calls that reach out of the process, with their numbers (asm/unistd.h)."""


def confine(memory_bytes: int) -> bool:
    """Give up everything but memory (so many bytes more than now) and the descriptors that are open.

    False where the kernel takes no filter of system calls, so that the other limits stand alone.

    From here on a file or a socket can neither be opened nor created: no descriptor is free, and
    on Linux the system calls for it are refused. Whatever is imported must have been before.
    """
    os.environ.clear()
    enter_a_lost_folder()
    if sys.platform == "linux":
        limit(resource.RLIMIT_AS, address_space() + memory_bytes)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)
    close_the_door()
    return forbid_system_calls() if sys.platform == "linux" else False


def enter_a_lost_folder() -> None:
    """Work in a folder that is removed, so that no path leads anywhere from it and nothing can be put there."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)


def close_the_door() -> None:
    """Leave no descriptor free, so that nothing can be opened before one is closed."""
    limit(resource.RLIMIT_NOFILE, 1 + max(int(name) for name in os.listdir("/dev/fd")))
    with contextlib.suppress(OSError):
        while True:
            os.dup(0)


def limit(what: int, value: int) -> None:
    """Set a limit for good."""
    resource.setrlimit(what, (value, value))


def renew_cpu_limit(seconds: float) -> None:
    """So many seconds of CPU from now on, after which the kernel ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def address_space() -> int:
    """Bytes of address space that this process has, on Linux."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def memory_gauge() -> Callable[[], int]:
    """Tells the bytes of memory that this process holds, also when it cannot open files any more.

    Where there is no /proc it tells the most that the process ever held.
    """
    if sys.platform != "linux":
        return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    statm = os.open("/proc/self/statm", os.O_RDONLY)
    return lambda: int(os.pread(statm, 256, 0).split()[1]) * resource.getpagesize()


def forbid_system_calls() -> bool:
    """Refuse `FORBIDDEN` with EPERM for the rest of this process's life; False where that cannot be."""
    machine = platform.machine()
    if machine not in FORBIDDEN:
        return False
    code = filter_program(ARCHITECTURES[machine], sorted(FORBIDDEN[machine].values()))
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HP", len(code) // 8, ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    zero = ctypes.c_ulong(0)
    failed = prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) or prctl(
        PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.c_char_p(program), zero, zero
    )
    return not failed


def filter_program(architecture: int, calls: list[int]) -> bytes:
    """A classic BPF program over `struct seccomp_data` (number at offset 0, architecture at 4)."""
    count = len(calls)
    steps = [
        (LOAD, 0, 0, 4),
        (JUMP_IF_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),
        (JUMP_IF_GREATER_OR_EQUAL, count + 1, 0, FIRST_X32_CALL),
        *((JUMP_IF_EQUAL, count - n, 0, call) for n, call in enumerate(calls)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE | EPERM),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
