"""OpenAI's client for Node with another base URL: its answers, errors and retries."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypedDict

import pytest

from asr_api.http import create_http_app
from tests.e2e.obstacles import KEY, UPLOAD_LIMIT, Breaking, Slowing, Stumbling, strict_server
from tests.e2e.process import ServerProcess
from tests.e2e.recordings import CALLSIGN
from tests.http.fakes import FakeService
from tests.test_client import serving

FOLDER = Path(__file__).parent / "node"
CLIPS = {
    "english": ("en-16.flac", CALLSIGN["en-16.flac"].text),
    "german": ("de-01.flac", "seven five six two one"),
    "chinese": ("zh-05.flac", CALLSIGN["zh-05.flac"].text),
}
CHECKS = 90
"""How many there are at least, so that none is forgotten without notice."""


class Check(TypedDict):
    """What came of a check of `contract.mjs`; `detail` says what was wrong."""

    name: str
    ok: bool
    detail: str


@pytest.fixture
def node() -> str:
    """The program, where it and the client are installed."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    if not (FOLDER / "node_modules" / "openai").is_dir():
        pytest.skip("OpenAI's client for Node is not installed: make node")
    return program


@pytest.fixture
def slowing() -> Slowing:
    return Slowing()


@pytest.fixture
def config(callsign_server: ServerProcess, model_dir: Path, slowing: Slowing) -> Iterator[dict[str, object]]:
    """Where the servers are, and what is said to them."""
    services = {
        "stumbling": Stumbling(),
        "breaking": Breaking(),
        "slowing": slowing,
        "gated": FakeService(gated=True),
        "slashed": FakeService(),
    }
    clips = {name: {"path": str(CALLSIGN[file].path), "text": text} for name, (file, text) in CLIPS.items()}
    with ExitStack() as stack, strict_server(model_dir) as strict:
        urls = {name: stack.enter_context(serving(create_http_app(service))) for name, service in services.items()}
        yield {
            "server": callsign_server.url,
            "strict": strict.url,
            "key": KEY,
            "limit": UPLOAD_LIMIT,
            "clips": clips,
            **urls,
        }


def test_contract(node: str, config: dict[str, object], slowing: Slowing, subtests: pytest.Subtests) -> None:
    """Each check of `contract.mjs` holds; and what was asked again after a timeout was worked on once."""
    command = [node, str(FOLDER / "contract.mjs"), json.dumps(config)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert run.returncode == 0, run.stderr
    checks: list[Check] = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(checks) >= CHECKS
    for check in checks:
        with subtests.test(check["name"]):
            assert check["ok"], check["detail"]
    assert len(slowing.heard) == 1
