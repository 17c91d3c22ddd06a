"""The command `asr-api doctor`."""

import os
import sys
from typing import Annotated, Any

import typer

from asr_api.cli.options import with_settings
from asr_api.logs import configure_logging


@with_settings
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    **flags: Any,  # noqa: ANN401 - one for each setting
) -> None:
    """Look whether this machine can serve with these settings, and say what to do; exit with 1 if it cannot.

    Nothing is fetched or changed. Beside a service at work it is safe, and says so of its ports.
    """
    from asr_api.doctor import examine, worst
    from asr_api.doctor.report import json_report, write_report
    from asr_api.doctor.this_machine import ThisMachine

    configure_logging("critical", "text")
    given = {name: value for name, value in flags.items() if value is not None}
    findings = examine(ThisMachine(os.environ), given)
    if as_json:
        told = list(findings)
        sys.stdout.write(json_report(told))
    else:
        told = write_report(findings, sys.stdout)
    raise typer.Exit(int(worst(told) == "failure"))
