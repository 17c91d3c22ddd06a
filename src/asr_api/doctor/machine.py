"""The facts that the checks judge, and who tells them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from asr_api.gpu import GpuReport
from asr_api.settings import Settings


@dataclass(frozen=True, slots=True)
class Cpu:
    """Cores that this process may use, those that its group may keep busy (None: all of them), the kind of
    processor, and the instructions that it knows.
    """

    cores: int
    quota: float | None
    architecture: str
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Cuda:
    """What CTranslate2 sees of CUDA: the number of GPUs, and the libraries that are missing."""

    devices: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of memory: the machine's, and the bound of this process's group, None where there is none."""

    total: int
    bound: int | None

    @property
    def limit(self) -> int:
        return self.total if self.bound is None else min(self.total, self.bound)


@dataclass(frozen=True, slots=True)
class Tasks:
    """Processes and threads that this process's group has and may have; None where nothing bounds them."""

    now: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, or the nearest one above it that is there: bytes free, the kind of file system, and what keeps
    files from being made in it, "" if nothing.
    """

    path: Path
    free: int
    filesystem: str
    fault: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model on this machine, `size` bytes of it. `fault` says what is wrong with it, or with its name."""

    state: Literal["complete", "packages", "absent", "damaged", "unknown"]
    path: Path | None = None
    size: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Port:
    """Whether an address can be listened on; `ours` where an asr-api answers there, `reason` where it cannot."""

    state: Literal["free", "ours", "taken", "refused"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a confined worker made of the package's own recording, or why it made nothing of it."""

    seconds: float = 0.0
    chunks: int = 0
    fault: str = ""


class Machine(Protocol):
    """The machine under examination. Each answer may take a few seconds, and none changes anything."""

    @property
    def environ(self) -> Mapping[str, str]: ...
    @property
    def python(self) -> str: ...
    @property
    def library(self) -> str:
        """CTranslate2's version. Raises ImportError."""
        ...

    @property
    def cpu(self) -> Cpu: ...
    @property
    def gpus(self) -> GpuReport: ...
    @property
    def cuda(self) -> Cuda: ...
    @property
    def room(self) -> Room: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def descriptors(self) -> int:
        """Files and sockets that a process may have open."""
        ...

    @property
    def filters_calls(self) -> bool:
        """Whether the kernel takes a filter of system calls."""
        ...

    def compute_types(self, device: str, index: int) -> frozenset[str]: ...
    def model(self, settings: Settings) -> Model: ...
    def folder(self, path: Path) -> Folder: ...
    def port(self, host: str, port: int) -> Port: ...
    def decode(self, settings: Settings) -> Decoded: ...

    def hub(self, endpoint: str) -> str:
        """What keeps the hub from answering, "" if nothing."""
        ...

    def has_module(self, name: str) -> bool: ...
