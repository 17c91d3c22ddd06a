"""The commands `asr-api models pull|list|verify`."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asr_api.cli.options import read_settings
from asr_api.errors import ModelUnavailable
from asr_api.settings import Settings

if TYPE_CHECKING:
    from asr_api.models.checking import FileCheck
    from asr_api.models.inventory import ModelEntry

models_app = typer.Typer(no_args_is_help=True, help="Fetch models, see which are here, and check their files.")

ModelDir = Annotated[str | None, typer.Option("--model-dir", help="where models are kept [ASR_MODEL_DIR]")]
HubEndpoint = Annotated[str | None, typer.Option("--hub-endpoint", help="the model hub [ASR_HUB_ENDPOINT]")]
Offline = Annotated[
    bool | None,
    typer.Option("--offline/--no-offline", help="never ask the model hub [ASR_OFFLINE]", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]

PIPE_WIDTH = 240
"""Columns of a table that nobody looks at as it is printed, so that no path is cut."""


@models_app.command()
def pull(
    names: Annotated[list[str], typer.Argument(help="sizes, as large-v3, or hub ids, as owner/name")],
    model_dir: ModelDir = None,
    hub_endpoint: HubEndpoint = None,
    offline: Offline = None,
) -> None:
    """Fetch models, or what is missing or damaged of them, and say where they are.

    A download that broke off is taken up where it broke. The service does the same at its start.
    """
    from asr_api.cli.pulling import pull_model

    settings = _settings(model_dir=model_dir, hub_endpoint=hub_endpoint, offline=offline)
    for name in names:
        sys.stdout.write(pull_model(name, settings) + "\n")
        sys.stdout.flush()


@models_app.command("list")
def list_models(
    every: Annotated[bool, typer.Option("--all", help="every model that has a name, here or not")] = False,
    as_json: AsJson = False,
    model_dir: ModelDir = None,
) -> None:
    """Show which models are here: in the package, in data packages and in the folder of models."""
    from asr_api.models.inventory import Inventory

    inventory = Inventory(_settings(model_dir=model_dir).model_dir)
    entries = inventory.known() if every else inventory.entries()
    if as_json:
        _print_json([asdict(entry) for entry in entries])
    else:
        _print_table([_row(entry) for entry in entries])


@models_app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="models or folders; all that are here, if none")] = None,
    as_json: AsJson = False,
    model_dir: ModelDir = None,
) -> None:
    """Read every file of models and compare it with its checksum; exit with 1 if any is bad."""
    settings = _settings(model_dir=model_dir)
    bad = False
    checks = []
    for check in _checks(names or _names_here(settings), settings):
        bad = bad or check.fault is not None
        checks.append(check)
        if not as_json:
            sys.stdout.write(_line(check) + "\n")
    if as_json:
        _print_json([asdict(check) for check in checks])
    raise typer.Exit(int(bad))


def _settings(**flags: str | bool | None) -> Settings:
    return read_settings(flags)


def _names_here(settings: Settings) -> list[str]:
    from asr_api.models.inventory import Inventory

    entries = Inventory(settings.model_dir).entries()
    return [entry.names[0] for entry in entries if entry.state != "incomplete"]


def _checks(names: Sequence[str], settings: Settings) -> Iterator["FileCheck"]:
    """The checks of each model in turn; one that is not here is a bad one, and the next are checked all the same."""
    from asr_api.models.checking import FileCheck, check_model

    for name in names:
        try:
            yield from check_model(name, settings.model_dir)
        except ModelUnavailable as error:
            yield FileCheck(name, Path(name), 0, known=False, fault=error.message)


def _line(check: "FileCheck") -> str:
    if check.fault:
        return f"BAD  {check.model}: {check.fault} ({check.path})"
    unknown = "" if check.known else "  (no checksum is known; its form is right)"
    return f"ok   {check.model}  {check.path.name}  {check.size / 1e6:.1f} MB{unknown}"


def _row(entry: "ModelEntry") -> tuple[str, ...]:
    return (
        ", ".join(entry.names),
        entry.repository or "",
        (entry.revision or "")[:8],
        f"{entry.size / 1e6:.1f} MB" if entry.size else "",
        _state(entry),
        str(entry.path or ""),
    )


def _state(entry: "ModelEntry") -> str:
    if entry.fault:
        return f"damaged: {entry.fault}"
    if entry.state == "incomplete" and entry.total:
        return f"incomplete: {entry.size / 1e6:.1f} of {entry.total / 1e6:.1f} MB, `pull` goes on"
    return "incomplete: `pull` makes it anew" if entry.state == "incomplete" else entry.state


def _print_json(values: list[dict[str, Any]]) -> None:
    plain: list[Mapping[str, Any]] = [
        {key: str(value) if isinstance(value, Path) else value for key, value in fields.items()} for fields in values
    ]
    sys.stdout.write(json.dumps(plain, indent=1) + "\n")


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "repository", "revision", "size", "state", "folder", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, markup=False, highlight=False).print(table)
