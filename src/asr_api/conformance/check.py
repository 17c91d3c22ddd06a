"""Checks, the themes that hold them, and what comes of each."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import httpx2

from asr_api.conformance.server import Server
from asr_api.conformance.verdict import Broken, NotChecked, shown

Check = Callable[[Server], None]
Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Theme:
    """Checks that belong together."""

    name: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check.

    `holds` is what must hold and `why` is why it matters; `asked` are the requests and `came`
    is what came instead, or why nothing was checked.
    """

    theme: str
    check: str
    outcome: Outcome
    holds: str
    why: str
    asked: tuple[str, ...] = ()
    came: str = ""


def run_checks(themes: Sequence[Theme], server: Server) -> Iterator[Result]:
    """The result of each check, in order, as soon as it is there."""
    for theme in themes:
        for check in theme.checks:
            yield run_check(theme.name, check, server)


def run_check(theme: str, check: Check, server: Server) -> Result:
    """What comes of one check; whatever a server answers, this does not raise."""
    server.begin()
    outcome, came = _outcome(check, server)
    holds, _, why = inspect.cleandoc(check.__doc__ or "").partition("\n\n")
    asked = tuple(dict.fromkeys(server.asked))
    return Result(theme, check.__name__, outcome, " ".join(holds.split()), " ".join(why.split()), asked, came)


def _outcome(check: Check, server: Server) -> tuple[Outcome, str]:
    try:
        check(server)
    except Broken as broken:
        return "failed", broken.message
    except NotChecked as reason:
        return "skipped", reason.message
    except httpx2.HTTPError as error:
        return "failed", f"no answer: {type(error).__name__} {error}".rstrip()
    except Exception as error:  # OpenAI's client fails in many ways on a body that it did not expect
        return "failed", f"{type(error).__name__}: {shown(str(error))}"
    return "passed", ""
