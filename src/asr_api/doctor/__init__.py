"""Whether this machine can serve as the settings say, and what to do if not."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from asr_api.doctor.finding import Finding, Status, worst
from asr_api.doctor.gpu_checks import check_compute_type, check_driver, check_gpu, check_libraries, check_vram
from asr_api.doctor.host_checks import (
    check_cpu,
    check_limits,
    check_memory,
    check_ports,
    check_software,
    check_workers,
)
from asr_api.doctor.machine import Machine
from asr_api.doctor.settled import settle
from asr_api.doctor.storage_checks import check_hub, check_keys, check_model, check_spool
from asr_api.settings import Settings

__all__ = ["Finding", "Machine", "Status", "examine", "worst"]

Check = Callable[[Machine, Settings], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    check_software,
    check_cpu,
    check_gpu,
    check_driver,
    check_libraries,
    check_compute_type,
    check_vram,
    check_model,
    check_hub,
    check_memory,
    check_spool,
    check_workers,
    check_ports,
    check_limits,
    check_keys,
)


def examine(
    machine: Machine, flags: Mapping[str, object] | None = None, checks: Iterable[Check] = CHECKS
) -> Iterator[Finding]:
    """What each check finds, as it is found; nothing is changed, fetched or started for longer than it takes.

    A check that breaks is a warning, and the next goes on.
    """
    settings, findings = settle(machine.environ, flags or {})
    yield from findings
    for check in checks:
        yield from _guarded(check, machine, settings)


def _guarded(check: Check, machine: Machine, settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(machine, settings)
    except Exception as error:  # of all programs, this one must not fall over a strange machine
        name = check.__name__.removeprefix("check_").replace("_", " ")
        yield Finding(name, "warning", f"could not be looked at: {error!r}")
