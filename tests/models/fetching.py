"""How the tests ask for a model of the hub."""

import os
from pathlib import Path

from asr_api.models.manifest import FileRecord, Manifest
from asr_api.models.resolve import ResolvedModel, resolve_model

from .fake_hub import FakeHub

NAME = "someone/callsign-ct2"
FOLDER = "someone--callsign-ct2"


def resolve(hub: FakeHub, model_dir: Path, name: str = NAME, **options: object) -> ResolvedModel:
    """The model, from packages never; a broken connection is tried again twice, at once."""
    settings = {"offline": False, "hub_timeout": 5.0, "hub_pauses": (0.0, 0.0), "locate": lambda *_: None, **options}
    return resolve_model(name, model_dir=model_dir, hub_endpoint=hub.endpoint, **settings)  # type: ignore[arg-type]


def visible(model_dir: Path) -> list[str]:
    return [path.name for path in model_dir.iterdir() if not path.name.startswith(".")]


def parts(model_dir: Path) -> dict[str, int]:
    """The sizes of the half-fetched files, by the names they will have."""
    staging = model_dir / f".{FOLDER}.incomplete"
    return {path.name.rsplit(".", 2)[0]: path.stat().st_size for path in staging.glob("*.part")}


def flip_a_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def write_manifest(folder: Path) -> None:
    """Make of a copy what this package would have left there."""
    files = tuple(FileRecord.of(path) for path in sorted(folder.iterdir()))
    Manifest("owner/name", "a1b2", files).write(folder)
