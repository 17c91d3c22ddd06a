"""The bundled model's files, and a hub that has them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_api.models.installed import locate_installed

from .fake_hub import FakeHub
from .fetching import NAME


@pytest.fixture
def callsign() -> Path:
    path = locate_installed("asr_api.models", "callsign")
    assert path is not None
    return path


@pytest.fixture
def files(callsign: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in callsign.iterdir() if path.is_file()}


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[FakeHub]:
    with FakeHub({NAME: {**files, "README.md": b"# callsign", "onnx/model.bin": b"other"}}).serving() as hub:
        yield hub
