"""Pulling one model for whoever looks at a terminal, or reads the lines later."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from asr_api.models.catalogue import BUNDLED
from asr_api.models.progress import OnProgress
from asr_api.models.progress import Progress as Bytes
from asr_api.models.resolve import ResolvedModel, resolve_model
from asr_api.settings import Settings

STEPS = 10
"""Lines that a whole download has where there is no bar."""


def pull_model(name: str, settings: Settings) -> str:
    """Bring a model here whole, and return a line that says where it is. Raises ModelUnavailable."""
    with _shown() as on_progress:
        model = resolve_model(
            name,
            model_dir=settings.model_dir,
            hub_endpoint=settings.hub_endpoint,
            offline=settings.offline,
            on_progress=on_progress,
            thorough=True,
        )
    return _sentence(model)


def _sentence(model: ResolvedModel) -> str:
    if model.name == BUNDLED:
        return f"{BUNDLED} is in the package, and whole: {model.path}"
    revision = f" (revision {model.revision})" if model.revision else ""
    where = {"cache": "was here", "folder": "is a folder", "packages": "came from its packages"}.get(
        model.source, "came"
    )
    return f"{model.name} {where}, and is whole: {model.path}{revision}"


@contextmanager
def _shown() -> Iterator[OnProgress]:
    """A bar on a terminal, and lines elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines().tell
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=Console(stderr=True)) as progress:
        yield _Bar(progress).tell


class _Bar:
    """What is heard of a download, as a bar of rich's."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, visible=False)
        self._action: str | None = None

    def tell(self, heard: Bytes) -> None:
        if heard.action != self._action:
            self._action = heard.action
            self._progress.reset(self._task, description=_description(heard), visible=True)
        self._progress.update(self._task, completed=heard.done, total=heard.total or None)


class _Lines:
    """What is heard of a download, as a line for each tenth."""

    def __init__(self) -> None:
        self._told: tuple[str, int] | None = None

    def tell(self, heard: Bytes) -> None:
        step = heard.done * STEPS // heard.total if heard.total else 0
        if (heard.action, step) == self._told:
            return
        self._told = heard.action, step
        amount = f": {heard.done / 1e6:.1f} of {heard.total / 1e6:.1f} MB" if heard.total else ""
        sys.stderr.write(f"{_description(heard)}{amount}\n")
        sys.stderr.flush()


def _description(heard: Bytes) -> str:
    if heard.action == "waiting":
        return f"another process is fetching {heard.model}: waiting for it"
    return f"{heard.action} {heard.model}"
