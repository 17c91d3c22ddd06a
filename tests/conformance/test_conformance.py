"""Our own server keeps OpenAI's contract, over real HTTP and with OpenAI's own client."""

from pathlib import Path

import pytest
from rich.console import Console

from asr_api.conformance.command import recording_for, results_of
from asr_api.conformance.connection import Connection
from tests.e2e.process import ServerProcess, environment

KEY = "sk-conformance"


@pytest.mark.e2e
def test_our_server_keeps_the_contract(tmp_path: Path) -> None:
    """Every check passes, and none is skipped."""
    environ = environment(tmp_path, ASR_API_KEYS=f"tests:{KEY}")
    with ServerProcess("--model", "callsign", environ=environ) as process, Connection(process.url, KEY) as connection:
        server = connection.server("whisper-1", recording_for(connection.models(), None, None))
        results = results_of(server, Console(quiet=True))
    assert [(result.check, result.asked, result.came) for result in results if result.outcome != "passed"] == []
