"""Whether what is on disk, or has to go there, is there or has room: the model, the spool, the keys."""

from collections.abc import Iterator

from asr_api.access import ApiKeys
from asr_api.doctor.finding import Finding, gigabytes
from asr_api.doctor.machine import Folder, Machine, Model
from asr_api.engine.memory import shape_of, weights_of
from asr_api.settings import InvalidSettings, Settings

MEMORY_FILESYSTEMS = frozenset({"tmpfs", "ramfs"})

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def check_model(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Is the model here, and whole by the sizes of its files? Nothing is fetched."""
    model = machine.model(settings)
    yield _judge_model(model, settings)
    if model.state in ("absent", "packages"):
        yield from _check_room(machine.folder(settings.model_dir), model, settings)


def _judge_model(model: Model, settings: Settings) -> Finding:
    name = settings.model
    pull = f"run `asr-api models pull {name}`"
    match model.state:
        case "complete":
            return Finding("model", "ok", f"{name} is in {model.path}, {gigabytes(model.size)}")
        case "packages":
            return Finding("model", "ok", f"{name} is put together from its packages at the first start")
        case "damaged":
            return Finding("model", "failure", f"{model.path} is damaged: {model.fault}", f"{pull}, or bring it anew")
        case "unknown":
            return Finding("model", "failure", model.fault, "set ASR_MODEL to a model that there is")
    if settings.offline:
        fact = f"{name} is not in {settings.model_dir}, and ASR_OFFLINE forbids the hub"
        return Finding("model", "failure", fact, f"{pull} with ASR_OFFLINE=false, or bring its folder")
    fact = f"{name} is not here: the first start fetches it{_expected(name)}, and is not ready before"
    return Finding("model", "warning", fact, pull)


def _expected(name: str) -> str:
    shape = shape_of(name)
    return f" (about {gigabytes(weights_of(shape, 'float16'))})" if shape else ""


def _check_room(folder: Folder, model: Model, settings: Settings) -> Iterator[Finding]:
    """Can a model that is still to come be kept?"""
    shape = shape_of(settings.model)
    size = model.size or (weights_of(shape, "float16") if shape else 0)
    if folder.fault:
        yield Finding("model folder", "failure", f"{folder.path}: {folder.fault}", "give access, or set ASR_MODEL_DIR")
    elif folder.free < size:
        fact = f"{folder.path} has {gigabytes(folder.free)} free, and the model takes {gigabytes(size)}"
        yield Finding("model folder", "failure", fact, "make room, or set ASR_MODEL_DIR to a larger disk")
    else:
        yield Finding("model folder", "ok", f"{settings.model_dir}: {gigabytes(folder.free)} free")


def check_hub(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Does the hub answer, where it will be asked?"""
    if settings.offline or machine.model(settings).state != "absent":
        return
    fault = machine.hub(settings.hub_endpoint)
    if fault:
        advice = "open the way there (HTTPS_PROXY is heeded), set ASR_HUB_ENDPOINT to a mirror, or bring the model"
        yield Finding("hub", "warning", f"{settings.hub_endpoint} does not answer: {fault}", advice)
    else:
        yield Finding("hub", "ok", f"{settings.hub_endpoint} answers")


def check_spool(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Can uploads wait on disk, and does their budget fit there?"""
    folder, budget = machine.folder(settings.spool_dir), settings.max_spool_bytes
    if folder.fault:
        advice = "give write access, mount a volume there, or set ASR_SPOOL_DIR"
        yield Finding("spool", "failure", f"{folder.path}: {folder.fault}", advice)
        return
    fact = f"{settings.spool_dir} on {folder.filesystem}: {gigabytes(folder.free)} free of a budget of"
    fact = f"{fact} {gigabytes(budget)}"
    if folder.filesystem in MEMORY_FILESYSTEMS:
        advice = "what waits there takes memory and counts against the container's limit: use a disk"
        yield Finding("spool", "warning", fact, f"{advice}, or set ASR_MAX_SPOOL_BYTES to what memory can spare")
    elif folder.free < budget:
        advice = f"set ASR_MAX_SPOOL_BYTES below {folder.free}: a disk that is full refuses more than one whose"
        yield Finding("spool", "warning", fact, f"{advice} budget is used up")
    else:
        yield Finding("spool", "ok", fact)


def check_keys(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """Who may ask?"""
    try:
        keys = ApiKeys.load(settings.api_keys.get_secret_value(), settings.api_keys_file)
    except InvalidSettings as error:
        yield Finding("keys", "failure", error.message, "correct it, and give this user read access")
        return
    if keys:
        yield Finding("keys", "ok", f"of {', '.join(sorted(keys.names))}")
    elif settings.host in LOOPBACK:
        yield Finding("keys", "ok", "none: every process on this machine may ask")
    else:
        advice = "set ASR_API_KEYS_FILE, unless a gateway asks for credentials"
        yield Finding("keys", "warning", f"none: whoever reaches {settings.host} may ask", advice)
