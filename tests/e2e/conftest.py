"""One server for each model, for all tests of the session."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.process import ServerProcess, environment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts the real server."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("e2e")


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def base_server(model_dir: Path) -> Iterator[ServerProcess]:
    with ServerProcess("--model", "base", environ=environment(model_dir)) as server:
        yield server


@pytest.fixture(scope="session")
def callsign_server(model_dir: Path) -> Iterator[ServerProcess]:
    with ServerProcess("--model", "callsign", environ=environment(model_dir)) as server:
        yield server


@pytest.fixture(scope="session")
def base(base_server: ServerProcess) -> Iterator[httpx2.Client]:
    """A client of Whisper `base`."""
    with base_server.client() as client:
        yield client


@pytest.fixture(scope="session")
def callsign(callsign_server: ServerProcess) -> Iterator[httpx2.Client]:
    """A client of the bundled model."""
    with callsign_server.client() as client:
        yield client
