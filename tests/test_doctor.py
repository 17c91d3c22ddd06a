"""`asr-api doctor`: each check firing and quiet on a machine made up, and the probes on this one."""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from asr_api.doctor import CHECKS, Check, Finding, Machine, examine, worst
from asr_api.doctor.machine import Cpu, Cuda, Decoded, Folder, Model, Port, Room, Tasks
from asr_api.doctor.report import json_report, write_report
from asr_api.doctor.this_machine import ThisMachine
from asr_api.gpu import GpuFacts, GpuReport
from asr_api.settings import Settings

GB = 10**9

CARD = GpuFacts(0, "RTX 4090", "GPU-4c1f", "570.86.15", (12, 8), (8, 9), 0, 24 * GB)

SMALL = {"ASR_MODEL": "small", "ASR_DEVICE": "cpu"}


PROCESSOR = Cpu(8, None, "x86_64", frozenset({"avx2"}))
ONE_CARD = GpuReport((CARD,))
ONE_DEVICE = Cuda(1, ())
AMPLE = Room(64 * GB, None)
UNBOUNDED = Tasks(10, None)
COMPLETE = Model("complete", Path("/models/large-v3"), 3 * GB)
DISK = Folder(Path("/data"), 100 * GB, "ext4", "")
HEARD = Decoded(11.0, 1)


@dataclass
class FakeMachine:
    """A machine on which all is well: eight cores, a GPU of 24 GB, the model on disk."""

    environ: Mapping[str, str] = field(default_factory=dict)
    python: str = "3.11.9"
    cpu: Cpu = PROCESSOR
    gpus: GpuReport = ONE_CARD
    cuda: Cuda = ONE_DEVICE
    room: Room = AMPLE
    tasks: Tasks = UNBOUNDED
    descriptors: int = 65_536
    filters_calls: bool = True
    library_fault: str = ""
    types: frozenset[str] = frozenset({"float16", "int8_float16", "int8", "float32"})
    here: Model = COMPLETE
    folders: Folder = DISK
    ports: Mapping[int, Port] = field(default_factory=dict)
    decoded: Decoded = HEARD
    hub_fault: str = ""
    modules: frozenset[str] = frozenset()

    @property
    def library(self) -> str:
        if self.library_fault:
            raise ImportError(self.library_fault)
        return "4.8.5"

    def compute_types(self, device: str, index: int) -> frozenset[str]:
        return self.types

    def model(self, settings: Settings) -> Model:
        return self.here

    def folder(self, path: Path) -> Folder:
        return self.folders

    def port(self, host: str, port: int) -> Port:
        return self.ports.get(port, Port("free"))

    def decode(self, settings: Settings) -> Decoded:
        return self.decoded

    def hub(self, endpoint: str) -> str:
        return self.hub_fault

    def has_module(self, name: str) -> bool:
        return name in self.modules


WELL = FakeMachine()
ON_CPU = FakeMachine(SMALL, gpus=GpuReport(), cuda=Cuda(0, ()))


def with_card(**changes: Any) -> FakeMachine:
    return replace(WELL, gpus=GpuReport((replace(CARD, **changes),)))


def with_folder(path: str, free: int, filesystem: str, fault: str = "") -> FakeMachine:
    return replace(WELL, folders=Folder(Path(path), free, filesystem, fault))


def wrong(machine: Machine, **flags: object) -> list[Finding]:
    return [finding for finding in examine(machine, flags) if finding.status != "ok"]


@pytest.mark.parametrize("machine", [WELL, ON_CPU], ids=["gpu", "cpu"])
def test_a_machine_that_is_well_has_no_advice(machine: FakeMachine) -> None:
    """Every check but those that have nothing to look at says what it saw."""
    findings = list(examine(machine))
    assert worst(findings) == "ok"
    assert [finding for finding in findings if finding.advice] == []
    assert {"settings", "software", "cpu", "gpu", "model", "memory", "spool"} <= {one.check for one in findings}


GPU_CASES: dict[str, tuple[FakeMachine, str, str, str]] = {
    "no GPU where one is wanted": (
        FakeMachine({"ASR_DEVICE": "cuda"}, gpus=GpuReport(fault="NVML not found"), cuda=Cuda(0, ())),
        "gpu", "failure", "NVML not found",
    ),
    "a GPU that CUDA cannot use": (replace(WELL, cuda=Cuda(0, ())), "gpu", "warning", "CUDA sees none"),
    "a GPU that is not there": (replace(WELL, environ={"ASR_DEVICE_INDEX": "0,1"}), "gpu", "failure", "names 1"),
    "an old driver": (
        with_card(driver="550.54"), "driver", "warning", "550.54",
    ),
    "an old driver that compiles": (
        with_card(driver="550.54", capability=(9, 0)), "driver", "failure", "empty",
    ),
    "a very old driver": (
        with_card(driver="470.1"), "driver", "failure", "470.1",
    ),
    "no cuBLAS": (replace(WELL, cuda=Cuda(1, ("libcublas.so.12",))), "cublas", "failure", "asr-api[cuda]"),
    "a type the GPU has not": (
        replace(WELL, environ={"ASR_COMPUTE_TYPE": "bfloat16"}), "compute type", "failure", "bfloat16",
    ),
    "a small GPU": (
        with_card(memory_total=12 * GB), "vram", "warning", "ASR_MAX_BATCH_SIZE=",
    ),
    "a tiny GPU": (
        with_card(memory_total=4 * GB), "vram", "failure", "int8_float16",
    ),
    "a GPU that is shared": (
        with_card(memory_used=10 * GB), "vram", "warning", "something else",
    ),
    "a GPU that is taken": (
        with_card(memory_used=22 * GB), "vram", "failure", "something else",
    ),
}  # fmt: skip

STORAGE_CASES: dict[str, tuple[FakeMachine, str, str, str]] = {
    "a model to fetch": (replace(WELL, here=Model("absent")), "model", "warning", "models pull large-v3"),
    "a model that may not be fetched": (
        replace(WELL, environ={"ASR_OFFLINE": "true"}, here=Model("absent")), "model", "failure", "ASR_OFFLINE",
    ),
    "a damaged model": (
        replace(WELL, here=Model("damaged", Path("/models/x"), fault="it is short")), "model", "failure", "short",
    ),
    "no such model": (replace(WELL, here=Model("unknown", fault="there is no model")), "model", "failure", "no model"),
    "no room for the model": (
        replace(WELL, here=Model("absent"), folders=Folder(Path("/data"), GB, "ext4", "")),
        "model folder", "failure", "3.1 GB",
    ),
    "no way into the folder": (
        replace(WELL, here=Model("absent"), folders=Folder(Path("/"), 0, "", "read-only")),
        "model folder", "failure", "read-only",
    ),
    "a hub out of reach": (
        replace(WELL, here=Model("absent"), hub_fault="timed out"), "hub", "warning", "timed out",
    ),
    "a spool without access": (
        with_folder("/spool", 0, "", "permission denied"), "spool", "failure", "permission denied",
    ),
    "a spool on a full disk": (
        with_folder("/spool", 2 * GB, "ext4"), "spool", "warning", "below 2000000000",
    ),
    "a spool in memory": (
        with_folder("/spool", 20 * GB, "tmpfs"), "spool", "warning", "tmpfs",
    ),
    "keys that cannot be read": (
        replace(WELL, environ={"ASR_API_KEYS_FILE": "/no/such"}), "keys", "failure", "/no/such",
    ),
    "nobody asked for a key": (replace(WELL, environ={"ASR_HOST": "0.0.0.0"}), "keys", "warning", "whoever"),
}  # fmt: skip

HOST_CASES: dict[str, tuple[FakeMachine, str, str, str]] = {
    "no engine": (replace(WELL, library_fault="libgomp"), "software", "failure", "libgomp"),
    "traces without the extra": (
        replace(WELL, environ={"ASR_OTLP_ENDPOINT": "http://collector:4318"}), "software", "failure", "asr-api[otel]",
    ),
    "an old processor": (
        replace(ON_CPU, cpu=Cpu(8, None, "x86_64", frozenset({"sse2"}))), "cpu", "warning", "AVX2",
    ),
    "a throttled processor": (
        replace(ON_CPU, cpu=Cpu(64, 2.5, "x86_64", frozenset({"avx2"}))), "cpu", "warning", "ASR_CPU_THREADS=2",
    ),
    "a large model on a CPU": (
        replace(ON_CPU, environ={"ASR_MODEL": "large-v3"}), "cpu", "warning", "longer than it lasts",
    ),
    "more workers than cores": (
        replace(WELL, environ={"ASR_DECODE_WORKERS": "9"}), "cpu", "warning", "ASR_DECODE_WORKERS=8",
    ),
    "too little memory": (replace(WELL, room=Room(64 * GB, 2 * GB)), "memory", "failure", "of its group"),
    "little memory": (replace(WELL, room=Room(64 * GB, 5_500_000_000)), "memory", "warning", "at worst"),
    "few descriptors": (replace(WELL, descriptors=512), "limits", "warning", "ulimit -n"),
    "fewer descriptors than connections": (
        replace(WELL, environ={"ASR_MAX_CONNECTIONS": "60000"}), "limits", "warning", "60000",
    ),
    "few processes": (replace(WELL, tasks=Tasks(50, 100)), "limits", "warning", "pids"),
    "a port that is taken": (replace(WELL, ports={8000: Port("taken")}), "ports", "failure", "in use"),
    "a service at work": (replace(WELL, ports={8000: Port("ours")}), "ports", "warning", "an asr-api"),
    "a port that is not allowed": (
        replace(WELL, ports={8000: Port("refused", "permission denied")}), "ports", "failure", "permission denied",
    ),
    "one port for two": (replace(WELL, environ={"ASR_ADMIN_PORT": "8000"}), "ports", "failure", "both 8000"),
    "a worker that fails": (replace(WELL, decoded=Decoded(fault="it broke")), "decode workers", "failure", "broke"),
    "a worker that hears nothing": (
        replace(WELL, decoded=Decoded(11.0, 0)), "decode workers", "failure", "nothing was heard",
    ),
    "no filter of calls": (replace(WELL, filters_calls=False), "decode workers", "warning", "seccomp"),
}  # fmt: skip

CASES = GPU_CASES | STORAGE_CASES | HOST_CASES


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_named_with_what_to_do(name: str) -> None:
    """A check whose fact is bad says so, and what to do; on a machine that is well it is quiet."""
    machine, check, status, words = CASES[name]
    found = [finding for finding in wrong(machine) if finding.check == check]
    assert [finding.status for finding in found] == [status]
    assert words in found[0].fact + found[0].advice
    assert found[0].advice or found[0].check == "model"


def test_a_service_at_work_may_have_the_vram() -> None:
    """Beside the service itself, memory in use is no fault, and its second port is its own too."""
    busy = GpuReport((replace(CARD, memory_used=22 * GB),))
    ports = {8000: Port("taken"), 9000: Port("ours")}
    machine = FakeMachine({"ASR_ADMIN_PORT": "9000"}, gpus=busy, ports=ports)
    assert {finding.status for finding in examine(machine) if finding.check == "vram"} == {"ok"}
    assert [finding.check for finding in wrong(machine)] == ["ports", "ports"]


def test_what_a_model_of_another_name_needs_is_not_guessed() -> None:
    """It is said that it is not known."""
    (found,) = [one for one in examine(WELL, {"model": "owner/mine"}) if one.check == "vram"]
    assert (found.status, "not known" in found.fact) == ("ok", True)


def test_wrong_settings_are_told_and_the_rest_is_looked_at() -> None:
    """Every fault by itself, be it a variable's or an option's; what is valid holds."""
    environ = {"ASR_PROT": "1", "ASR_BEAM_SIZE": "99", "ASR_PORT": "8001"}
    found = list(examine(replace(WELL, environ=environ), {"device": "tpu", "host": "::1"}))
    settings = [finding for finding in found if finding.check == "settings"]
    assert {finding.status for finding in settings} == {"failure"}
    assert [word for word in ("ASR_PROT", "99", "tpu") if any(word in one.fact for one in settings)] == [
        "ASR_PROT", "99", "tpu",
    ]  # fmt: skip
    assert any("::1 port 8001" in finding.fact for finding in found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASR_PORT", "tcp://10.0.0.1:80"),
        ("ASR_SERVICE_HOST", "10.0.0.1"),
        ("ASR_API_PORT_80_TCP_PROTO", "tcp"),
    ],
)
def test_variables_that_kubernetes_makes_are_known(name: str, value: str) -> None:
    """Who did not set them reads who did."""
    (found,) = wrong(FakeMachine({name: value}))
    assert "enableServiceLinks" in found.advice


def test_settings_are_told_by_name_alone() -> None:
    """Values may be secrets."""
    findings = examine(FakeMachine({"ASR_API_KEYS": "app:sk-secret"}), {"port": "9001"})
    told = json_report(findings)
    assert "ASR_API_KEYS set; --port given" in told
    assert "sk-secret" not in told


def test_a_check_that_breaks_does_not_end_the_others() -> None:
    """What could not be looked at is a warning."""

    def check_strange(machine: Machine, settings: Settings) -> Iterable[Finding]:
        raise ZeroDivisionError

    checks: list[Check] = [check_strange, CHECKS[0]]
    found = list(examine(WELL, checks=checks))
    assert [(one.check, one.status) for one in found[1:]] == [("strange", "warning"), ("software", "ok")]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_report_is_plain_in_a_pipe_and_marked_on_a_terminal() -> None:
    """Lines that can be searched, or marks that can be seen; advice under its fact, and a sum."""
    findings = [
        Finding("gpu", "ok", "one"),
        Finding("spool", "warning", "on tmpfs", "use a disk"),
        Finding("ports", "failure", "taken", "stop it"),
    ]
    pipe, terminal = io.StringIO(), Terminal()
    assert write_report(findings, pipe) == findings
    write_report(findings, terminal)
    assert pipe.getvalue().splitlines() == [
        "ok       gpu             one",
        "warning  spool           on tmpfs",
        "                         -> use a disk",
        "failure  ports           taken",
        "                         -> stop it",
        "1 failure, 1 warning: it cannot serve so",
    ]
    assert [mark for mark in "✓!✗→" if mark in terminal.getvalue()] == list("✓!✗→")


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        (("ok",), "all is well"),
        (("warning", "warning"), "no failure, 2 warnings"),
        (("failure",) * 2, "2 failures, no warning: it cannot"),
    ],
)
def test_the_report_ends_with_a_sum(statuses: tuple[str, ...], told: str) -> None:
    """In words."""
    pipe = io.StringIO()
    write_report([Finding("x", status, "fact") for status in statuses], pipe)  # type: ignore[arg-type]
    assert pipe.getvalue().splitlines()[-1].startswith(told)


def test_the_report_for_programs() -> None:
    """The worst status, and every finding with its four parts."""
    report = json.loads(json_report([Finding("spool", "warning", "on tmpfs", "use a disk")]))
    expected = [{"check": "spool", "status": "warning", "fact": "on tmpfs", "advice": "use a disk"}]
    assert report == {"status": "warning", "findings": expected}


def test_this_machine_answers_every_question(tmp_path: Path) -> None:
    """Whatever it is: no check breaks on it."""
    environ = {"ASR_MODEL": "callsign", "ASR_PORT": "0", "ASR_SPOOL_DIR": str(tmp_path), "ASR_DEVICE": "cpu"}
    findings = list(examine(ThisMachine(environ)))
    assert [finding for finding in findings if "could not be looked at" in finding.fact] == []
    assert [finding for finding in findings if finding.status == "failure"] == []
