"""Whether the machine itself bears the service: processor, memory, limits, ports, confined processes."""

from collections.abc import Iterator

from asr_api.doctor.finding import Finding, Status, gigabytes
from asr_api.doctor.gpu_checks import device_of, load_of
from asr_api.doctor.machine import Machine
from asr_api.doctor.storage_checks import MEMORY_FILESYSTEMS
from asr_api.engine.memory import memory_need, shape_of, weights_of
from asr_api.settings import Settings

FAST_FLAGS = frozenset({"avx2", "asimd"})
"""Instructions without which CTranslate2's int8 and float32 on a CPU crawl: of x86 and of ARM."""

HEAVY = 700_000_000
"""Weights from which a few cores do not keep up with speech: large-v3's encoder takes 2.3 TFLOP for 30 s."""

SERVICE_BYTES = 250_000_000
WORKER_BYTES = 80_000_000
CUDA_HOST_BYTES = 1_500_000_000
"""Memory that is taken, about: by the service's own process (120 MB when it starts, and uploads), by an idle decode
worker (measured), and by CUDA's libraries on the host (not measured).
"""

SHARE = 0.8
"""The part of the descriptors that connections may have."""

FEW_DESCRIPTORS = 1024

THREADS = 100
"""Threads of the service at work, about, besides the engine's and those of the decode workers."""

WORKER_THREADS = 4


def check_software(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """What runs?"""
    try:
        yield Finding("software", "ok", f"Python {machine.python}, CTranslate2 {machine.library}")
    except ImportError as error:
        yield Finding("software", "failure", f"CTranslate2 cannot be loaded: {error}", "install asr-api anew")
    if settings.otlp_endpoint and not machine.has_module("opentelemetry.sdk"):
        advice = "pip install 'asr-api[otel]', or unset ASR_OTLP_ENDPOINT"
        yield Finding("software", "failure", "ASR_OTLP_ENDPOINT is set, and OpenTelemetry is not installed", advice)


def check_cpu(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Is the processor what the engine and the decode workers want?"""
    cpu, on_cpu = machine.cpu, device_of(machine, settings) == "cpu"
    quota = f", of which it may keep {cpu.quota:g} busy" if cpu.quota is not None else ""
    yield Finding("cpu", "ok", f"{cpu.cores} cores{quota}, {cpu.architecture}")
    if on_cpu and cpu.flags and not cpu.flags & FAST_FLAGS:
        yield Finding("cpu", "warning", "it knows neither AVX2 nor NEON: the engine will be slow", "use another CPU")
    if on_cpu and not settings.cpu_threads and cpu.quota is not None and cpu.quota < cpu.cores:
        fact = f"the engine would start {cpu.cores} threads and be throttled to {cpu.quota:g} cores"
        yield Finding("cpu", "warning", fact, f"set ASR_CPU_THREADS={max(1, int(cpu.quota))}, or take the limit away")
    shape = shape_of(settings.model)
    if on_cpu and shape and shape.parameters > HEAVY:
        fact = f"{settings.model} on a CPU: with a few cores, a file takes longer than it lasts"
        yield Finding("cpu", "warning", fact, "use a GPU, or ASR_MODEL=small or smaller")
    if settings.decode_workers > cpu.cores:
        fact = f"{settings.decode_workers} decode workers share {cpu.cores} cores"
        yield Finding("cpu", "warning", fact, f"set ASR_DECODE_WORKERS={cpu.cores}: each uses one core")


def check_memory(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Does all of it fit in memory, with the worst files in every decode worker?"""
    limit = machine.room.limit
    usual = SERVICE_BYTES + settings.decode_workers * WORKER_BYTES + engine_bytes(machine, settings)
    spooled = settings.max_spool_bytes if _spools_to_memory(machine, settings) else 0
    worst = usual + settings.decode_workers * settings.decode_memory_bytes + spooled
    bound = "" if machine.room.bound is None else " (the limit of its group)"
    fact = f"{gigabytes(usual)} needed, {gigabytes(worst)} at worst (modelled), of {gigabytes(limit)}{bound}"
    advice = "more memory, or fewer ASR_DECODE_WORKERS, less ASR_DECODE_MEMORY_BYTES, a smaller ASR_MODEL"
    if usual > limit:
        yield Finding("memory", "failure", fact, advice)
    elif worst > limit:
        yield Finding("memory", "warning", fact, advice + (", a spool on disk" if spooled else ""))
    else:
        yield Finding("memory", "ok", fact)


def engine_bytes(machine: Machine, settings: Settings) -> int:
    """Memory of the host that the engine takes: on a GPU, the weights on their way there; 0 where it is not known."""
    shape, load = shape_of(settings.model), load_of(machine, settings)
    if device_of(machine, settings) == "cuda":
        devices = len(settings.device_index)
        return devices * (CUDA_HOST_BYTES + (weights_of(shape, load.compute_type) if shape else 0))
    return memory_need(shape, load, gpu=False).total if shape else 0


def _spools_to_memory(machine: Machine, settings: Settings) -> bool:
    return machine.folder(settings.spool_dir).filesystem in MEMORY_FILESYSTEMS


def check_limits(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """May it have the descriptors, processes and threads that it needs?"""
    descriptors, wanted = machine.descriptors, settings.max_connections or settings.max_concurrent_requests
    fact = f"{descriptors} descriptors, {int(SHARE * descriptors)} of them for connections"
    if SHARE * descriptors < wanted:
        advice = f"raise `ulimit -n` above {int(wanted / SHARE) + 1}"
        yield Finding("limits", "warning", f"{fact}; {wanted} may be wanted", advice)
    elif descriptors < FEW_DESCRIPTORS:
        yield Finding("limits", "warning", fact, f"raise `ulimit -n` to {FEW_DESCRIPTORS} or more")
    else:
        yield Finding("limits", "ok", fact)
    tasks = machine.tasks
    if tasks.limit is not None:
        needed = THREADS + WORKER_THREADS * settings.decode_workers + machine.cpu.cores * len(settings.device_index)
        status: Status = "warning" if tasks.limit - tasks.now < needed else "ok"
        fact = f"{tasks.limit} processes and threads, {tasks.now} of them taken; about {needed} are needed"
        yield Finding("limits", status, fact, "raise the pids limit of the container" if status == "warning" else "")


def check_ports(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Can it be listened on them?"""
    if settings.port and settings.port == settings.admin_port:
        fact = f"ASR_PORT and ASR_ADMIN_PORT are both {settings.port}"
        yield Finding("ports", "failure", fact, "give each its own")
        return
    ports = [("--port", settings.port), ("--admin-port", settings.admin_port)]
    asked = [(option, port, machine.port(settings.host, port)) for option, port in ports if port]
    ours = any(found.state == "ours" for _, _, found in asked)
    for option, port, found in asked:
        place = f"{settings.host} port {port}"
        if found.state == "free":
            yield Finding("ports", "ok", f"{place} is free")
        elif found.state == "refused":
            fact = f"{place} cannot be listened on: {found.reason}"
            yield Finding("ports", "failure", fact, f"choose another --host or {option}")
        elif ours:
            yield Finding(
                "ports", "warning", f"{place} is in use, by an asr-api that is at work", "nothing, if it is meant"
            )
        else:
            yield Finding("ports", "failure", f"{place} is in use", f"stop what uses it, or choose another {option}")


def check_workers(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Do files get through a confined process here?"""
    decoded = machine.decode(settings)
    if decoded.fault or not decoded.chunks:
        advice = "see ASR_DECODE_TIMEOUT and ASR_DECODE_MEMORY_BYTES, and whether processes may be started here"
        yield Finding("decode workers", "failure", decoded.fault or "nothing was heard in the sample", advice)
        return
    fact = f"one decoded {decoded.seconds:g} s of the sample"
    if machine.filters_calls:
        yield Finding("decode workers", "ok", f"{fact}, behind a filter of system calls")
    else:
        advice = "allow seccomp filters (seccompProfile RuntimeDefault); until then the other limits stand alone"
        yield Finding("decode workers", "warning", f"{fact}, but the kernel takes no filter of system calls", advice)
