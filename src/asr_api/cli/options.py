"""Settings as options of a command."""

import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from asr_api.settings import PREFIX, Settings


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    """A command-line option for one setting; its text is read by Settings, as that of a variable is."""
    flag = "--" + name.replace("_", "-")
    switch = field.annotation is bool
    default = field.get_default(call_default_factory=True)
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if switch else flag,
        help=f"{field.description} [{PREFIX}{name.upper()}; default: {default}]",
        metavar=None if switch else "VALUE",
        show_default=False,
    )
    annotation = Annotated[bool | None if switch else str | None, option]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option a setting, for its `**flags`."""
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    taken = {parameter.name for parameter in own}
    options = [_option(name, field) for name, field in Settings.model_fields.items() if name not in taken]
    signature = inspect.Signature([*own, *options])
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    command.__signature__ = signature  # type: ignore[attr-defined]
    return command


def read_settings(flags: dict[str, Any]) -> Settings:
    return Settings.load(os.environ, **{name: value for name, value in flags.items() if value is not None})
