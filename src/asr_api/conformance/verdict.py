"""How a check ends, other than well."""

import reprlib
from typing import ClassVar

from asr_api.errors import AsrError, StartupError


class Broken(AsrError):
    """The server broke the contract; the message says what came instead."""

    default_code = "contract_broken"


class NotChecked(AsrError):
    """The check cannot be made against this server; the message says why."""

    default_code = "not_checked"


class CannotCheck(StartupError):
    """No check can be made at all; the message says what to do."""

    exit_code: ClassVar[int] = 69


def expect(holds: bool, came: str) -> None:
    """Raises Broken, with what came instead, unless the expectation holds."""
    if not holds:
        raise Broken(came)


def shown(value: object) -> str:
    """A value as a report has it: whole where it is short."""
    form = reprlib.Repr()
    form.maxstring = form.maxother = 160
    form.maxlist = form.maxdict = 12
    return form.repr(value)
