"""Whether the engine can run where the settings want it: GPU, driver, libraries, compute type, VRAM."""

from collections.abc import Iterator

from asr_api.doctor.finding import Finding, Status, gigabytes
from asr_api.doctor.machine import Machine
from asr_api.engine.memory import Load, Need, largest_batch, memory_need, shape_of
from asr_api.engine.protocol import WORKERS
from asr_api.gpu import GpuFacts
from asr_api.settings import Settings

DRIVER = 570
"""The driver of CUDA 12.8, for which CTranslate2's wheel is built; GPUs from sm_90 on compile its kernels."""

OLDEST_DRIVER = 525
"""The oldest driver that runs a program of CUDA 12 (NVIDIA's notes on minor version compatibility)."""

COMPILING = (9, 0)
"""The compute capability from which the wheel has no machine code, only PTX."""

ANY = frozenset({"default", "auto"})
"""Compute types that CTranslate2 chooses itself."""


def device_of(machine: Machine, settings: Settings) -> str:
    """Where the engine will run."""
    if settings.device != "auto":
        return settings.device
    return "cuda" if machine.cuda.devices else "cpu"


def load_of(machine: Machine, settings: Settings) -> Load:
    """What the engine will be asked for on one device."""
    device = device_of(machine, settings)
    auto = "float16" if device == "cuda" else "int8"
    return Load(
        compute_type=auto if settings.compute_type in ("auto", "default") else settings.compute_type,
        workers=settings.num_workers or WORKERS,
        chunks=settings.batch_size_on(device),
        encoded=settings.max_encode_batch,
        beams=settings.beam_size,
    )


def check_gpu(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Is there the GPU that is wanted?"""
    if settings.device == "cpu":
        yield Finding("gpu", "ok", "not wanted: the engine runs on the CPU (ASR_DEVICE)")
        return
    report = machine.gpus
    if not report.gpus:
        yield _no_gpu(settings, report.fault)
        return
    for gpu in report.gpus:
        major, minor = gpu.capability
        fact = f"{gpu.index}: {gpu.name}, {gigabytes(gpu.memory_total)}, compute capability {major}.{minor}"
        yield Finding("gpu", "ok", f"{fact}, driver {gpu.driver} (CUDA {gpu.cuda[0]}.{gpu.cuda[1]})")
    yield from _check_index(machine, settings)


def _no_gpu(settings: Settings, fault: str) -> Finding:
    reason = f" ({fault})" if fault else ""
    if settings.device == "cuda":
        advice = "give the container a GPU (--gpus all, nvidia.com/gpu), install the driver, or set ASR_DEVICE=cpu"
        return Finding("gpu", "failure", f"ASR_DEVICE is cuda, and there is no GPU{reason}", advice)
    return Finding("gpu", "ok", f"none{reason}: the engine runs on the CPU")


def _check_index(machine: Machine, settings: Settings) -> Iterator[Finding]:
    if not machine.cuda.devices:
        yield Finding(
            "gpu",
            "failure" if settings.device == "cuda" else "warning",
            "NVML sees a GPU, and CUDA sees none",
            "update the driver, and see that CUDA_VISIBLE_DEVICES does not hide the GPU",
        )
        return
    absent = [str(index) for index in settings.device_index if index >= machine.cuda.devices]
    if absent:
        fact = f"ASR_DEVICE_INDEX names {', '.join(absent)}, and CUDA sees {machine.cuda.devices}, counted from 0"
        yield Finding("gpu", "failure", fact, "name GPUs that are there")


def check_driver(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Is the driver new enough for what the wheel of CTranslate2 is built with?"""
    if device_of(machine, settings) != "cuda" or not machine.gpus.gpus:
        return
    gpu = max(machine.gpus.gpus, key=lambda one: one.capability)
    version = int(gpu.driver.split(".")[0])
    if version >= DRIVER:
        return
    needed = version < OLDEST_DRIVER or gpu.capability >= COMPILING
    why = "transcripts come out empty, or nothing runs" if needed else "it may do, since the kernels fit this GPU"
    status: Status = "failure" if needed else "warning"
    yield Finding("driver", status, f"{gpu.driver} is older than {DRIVER}: {why}", f"install driver {DRIVER} or later")


def check_libraries(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Is cuBLAS there?"""
    if device_of(machine, settings) != "cuda":
        return
    if machine.cuda.missing:
        fact = f"{' and '.join(machine.cuda.missing)} cannot be found"
        yield Finding("cublas", "failure", fact, "pip install 'asr-api[cuda]'")
    else:
        yield Finding("cublas", "ok", "cuBLAS 12 is there; cuDNN is not needed")


def check_compute_type(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Can the device compute as it is told to?"""
    device, wanted = device_of(machine, settings), load_of(machine, settings).compute_type
    for index in settings.device_index if device == "cuda" else [0]:
        known = machine.compute_types(device, index)
        if known and wanted not in known | ANY:
            advice = f"set ASR_COMPUTE_TYPE to auto or one of {', '.join(sorted(known))}"
            yield Finding("compute type", "failure", f"{wanted} is none that {device} {index} has", advice)
        elif known:
            yield Finding("compute type", "ok", f"{wanted} on {device} {index}")


def check_vram(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Do weights and full batches fit?"""
    if device_of(machine, settings) != "cuda":
        return
    shape, load = shape_of(settings.model), load_of(machine, settings)
    for gpu in machine.gpus.gpus:
        if gpu.index not in settings.device_index:
            continue
        if shape is None:
            fact = f"{gpu.index}: {gigabytes(gpu.memory_free)} free; what {settings.model} needs is not known"
            yield Finding("vram", "ok", fact)
            continue
        fitting = largest_batch(shape, load, gpu.memory_total)
        yield _judge_vram(gpu, memory_need(shape, load), load, fitting, running=_running(machine, settings))


def _judge_vram(gpu: GpuFacts, need: Need, load: Load, fitting: int, *, running: bool) -> Finding:
    what = f"{load.workers} x {load.chunks} chunks, beam {load.beams}, {load.compute_type}"
    fact = f"{gpu.index}: {gigabytes(need.total)} needed (modelled: {what}), {gigabytes(gpu.memory_free)} free"
    smaller = "ASR_COMPUTE_TYPE=int8_float16, ASR_NUM_WORKERS=1, or a smaller ASR_MODEL"
    if not fitting:
        return Finding("vram", "failure", f"{fact} of {gigabytes(gpu.memory_total)}", smaller)
    if need.total > gpu.memory_total:
        advice = f"full batches will be halved at work; set ASR_MAX_BATCH_SIZE={fitting}, or {smaller}"
        return Finding("vram", "warning", fact, advice)
    if running or need.total <= gpu.memory_free:
        return Finding("vram", "ok", fact + (", with a service at work" if running else ""))
    status: Status = "failure" if need.resident > gpu.memory_free else "warning"
    return Finding("vram", status, f"{fact}: something else has the rest", "see `nvidia-smi`; one GPU a service")


def _running(machine: Machine, settings: Settings) -> bool:
    """Whether a service, likely the one with these settings, is at work on this machine."""
    ports = {settings.port, settings.admin_port} - {0, None}
    return any(machine.port(settings.host, port).state == "ours" for port in ports if port)
