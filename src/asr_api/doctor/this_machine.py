"""The machine that this process runs on."""

import importlib.util
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from asr_api.doctor.groups import ControlGroup
from asr_api.doctor.machine import Cpu, Cuda, Decoded, Folder, Model, Port, Room, Tasks
from asr_api.doctor.probes import ask_hub, decode_sample, look_at_folder, look_at_port
from asr_api.errors import ModelUnavailable
from asr_api.gpu import GpuFacts, GpuReport, read_gpus
from asr_api.models.catalogue import BUNDLED, repository_of
from asr_api.models.installed import Assembly, locate_installed
from asr_api.models.resolve import local_folder, resolve_model
from asr_api.models.storage import find_fault, folder_of
from asr_api.settings import Settings

FILTER = "import sys; from asr_api.audio.confinement import forbid_system_calls as forbid; sys.exit(not forbid())"
"""A program that tries what a decode worker does, and is alone with what comes of it."""

FILTER_SECONDS = 30.0


class ThisMachine:
    """The `Machine` of production; what does not change while it is looked at is looked at once.

    CTranslate2 is loaded by the first question about it, so that a process can say that it cannot be.
    """

    def __init__(self, environ: Mapping[str, str], group: ControlGroup | None = None) -> None:
        self.environ = environ
        self._group = group or ControlGroup()
        self._ports: dict[tuple[str, int], Port] = {}

    @property
    def python(self) -> str:
        return platform.python_version()

    @property
    def library(self) -> str:
        from asr_api.engine.abilities import library_version

        return library_version()

    @cached_property
    def cpu(self) -> Cpu:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Cpu(cores, self._group.cores(), platform.machine(), cpu_flags(Path("/proc/cpuinfo")))

    @cached_property
    def gpus(self) -> GpuReport:
        report = read_gpus()
        return replace(report, gpus=visible(report.gpus, self.environ.get("CUDA_VISIBLE_DEVICES")))

    @cached_property
    def cuda(self) -> Cuda:
        from asr_api.engine.abilities import missing_libraries, visible_gpus

        return Cuda(visible_gpus(), missing_libraries())

    @property
    def room(self) -> Room:
        return Room(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), self._group.memory())

    @property
    def tasks(self) -> Tasks:
        return Tasks(self._group.tasks_now(), self._group.tasks())

    @property
    def descriptors(self) -> int:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    @property
    def filters_calls(self) -> bool:
        command = [sys.executable, "-I", "-c", FILTER]
        return subprocess.run(command, check=False, timeout=FILTER_SECONDS, capture_output=True).returncode == 0

    def compute_types(self, device: str, index: int) -> frozenset[str]:
        from asr_api.engine.abilities import supported_compute_types

        return supported_compute_types(device, index)

    def model(self, settings: Settings) -> Model:
        return look_for_model(settings)

    def folder(self, path: Path) -> Folder:
        return look_at_folder(path)

    def port(self, host: str, port: int) -> Port:
        if (host, port) not in self._ports:
            self._ports[host, port] = look_at_port(host, port)
        return self._ports[host, port]

    def decode(self, settings: Settings) -> Decoded:
        return decode_sample(settings)

    def hub(self, endpoint: str) -> str:
        return ask_hub(endpoint)

    def has_module(self, name: str) -> bool:
        try:
            return importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:  # not even the package that it would be in
            return False


def cpu_flags(cpuinfo: Path) -> frozenset[str]:
    """The instructions that the processor knows, in the kernel's words; empty where it does not tell."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    told = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(told, "").split())


def visible(gpus: Sequence[GpuFacts], names: str | None) -> tuple[GpuFacts, ...]:
    """The GPUs as CUDA numbers them, by CUDA_VISIBLE_DEVICES: numbers, or beginnings of UUIDs, up to the first
    that is neither (CUDA C++ Programming Guide, environment variables).
    """
    if names is None:
        return tuple(gpus)
    chosen: list[GpuFacts] = []
    for name in (part.strip() for part in names.split(",")):
        found = [gpu for gpu in gpus if name and (name == str(gpu.index) or gpu.uuid.startswith(name))]
        if not found:
            break
        chosen.append(replace(found[0], index=len(chosen)))
    return tuple(chosen)


def look_for_model(settings: Settings) -> Model:
    """What there is of the model, judged by the sizes of its files. Nothing is fetched or put together."""
    name = settings.model
    try:
        if name == BUNDLED or local_folder(name):
            found = resolve_model(name, model_dir=settings.model_dir, hub_endpoint="", offline=True)
            return Model("complete", found.path, _size_of(found.path))
        repository = repository_of(name)
    except ModelUnavailable as error:
        return Model("unknown", fault=error.message)
    folder = folder_of(settings.model_dir, repository)
    if folder.is_dir():
        fault = find_fault(folder)
        return Model("damaged", folder, fault=fault) if fault else Model("complete", folder, _size_of(folder))
    return Model("packages" if Assembly.of(repository, locate_installed) else "absent")


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
