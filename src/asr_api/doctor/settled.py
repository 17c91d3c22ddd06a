"""Settings, as far as they can be had of an environment with faults in it."""

import re
from collections.abc import Mapping

from asr_api.doctor.finding import Finding
from asr_api.settings import PREFIX, InvalidSettings, Settings

CHECK = "settings"

SERVICE_LINK = re.compile(r"ASR_(\w+_)?(SERVICE_(HOST|PORT)\w*|PORT_\d+_\w+)=.*|ASR_(\w+_)?PORT=\w+://.*")
"""Variables that Kubernetes makes of a Service whose name begins with `asr`: ASR_PORT_8000_TCP_ADDR and others."""


def settle(environ: Mapping[str, str], flags: Mapping[str, object]) -> tuple[Settings, list[Finding]]:
    """What is valid of the variables and options, the rest at its default, and what is to be said about it."""
    variables = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    faults = {name: fault for name, text in variables.items() if (fault := _fault({name: text}, {}))}
    wrong = {name: fault for name, value in flags.items() if (fault := _fault({}, {name: value}))}
    valid = {name: text for name, text in variables.items() if name not in faults}
    settings = Settings.load(valid, **{name: value for name, value in flags.items() if name not in wrong})
    findings = [Finding(CHECK, "failure", fault, _advice(name, environ)) for name, fault in (faults | wrong).items()]
    return settings, findings or [Finding(CHECK, "ok", _origin(sorted(variables), sorted(flags)))]


def _fault(environ: Mapping[str, str], flags: Mapping[str, object]) -> str:
    try:
        Settings.load(environ, **flags)
    except InvalidSettings as error:
        return error.message
    return ""


def _advice(name: str, environ: Mapping[str, str]) -> str:
    if SERVICE_LINK.fullmatch(f"{name}={environ.get(name, '')}"):
        return "Kubernetes made it of a Service: set `enableServiceLinks: false` in the pod, or rename the Service"
    return "correct it or take it away: the service does not start; below, the default stands for it"


def _origin(variables: list[str], flags: list[str]) -> str:
    options = ["--" + name.replace("_", "-") for name in flags]
    told = [f"{', '.join(names)} {where}" for names, where in ((variables, "set"), (options, "given")) if names]
    return "; ".join(told) if told else "all at their defaults"
