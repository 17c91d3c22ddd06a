"""The real process: signals, its exit code and time, its admin port, and a want of descriptors."""

import contextlib
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from ..e2e.recordings import CALLSIGN
from ..observability.running import until
from .process import RealServer
from .rounds import run_rounds

pytestmark = pytest.mark.e2e
CLIP = CALLSIGN["en-01.flac"].path
SECONDS = 10.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def ask(server: RealServer) -> int:
    with CLIP.open("rb") as clip:
        answer = httpx2.post(
            f"http://127.0.0.1:{server.port}/transcribe", files={"file": clip}, timeout=60, trust_env=False
        )
    return answer.status_code


def says(server: RealServer, sample: str) -> Callable[[], bool]:
    """Whether its metrics have a sample now."""
    return lambda: sample in server.probe("/metrics").text


@pytest.mark.long
def test_no_request_is_lost(model_dir: Path) -> None:
    """SIGTERM under load, twice: each request has its words or is told to go elsewhere."""
    summary = run_rounds(2, 7, model_dir, lambda _: None)
    assert (summary.ledger.lost, summary.faults) == ([], [])
    assert summary.ledger.requests > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_loads_ends_it_soon(number: int, model_dir: Path) -> None:
    """Exit code 0 and no stack trace, though the model is not there yet."""
    settings = {"ASR_ADMIN_PORT": str(free_port()), "ASR_MODEL": "base"}
    with RealServer(model_dir, settings, ready=False) as server:
        server.signal(number)
        code, took = server.end(SECONDS)
    assert (code, "Traceback" in server.log) == (0, False)
    assert took < 5


def test_the_admin_port_outlives_the_drain(model_dir: Path) -> None:
    """While the service drains its probes and metrics say so; a second signal ends the wait."""
    with RealServer(model_dir, {"ASR_DRAIN_DELAY": "600", "ASR_DRAIN_TIMEOUT": "600"}) as server:
        assert ask(server) == 200
        server.signal(signal.SIGTERM)
        assert until(says(server, "asr_draining 1.0"), SECONDS)
        assert server.probe("/livez").json() == {"status": "ok"}
        assert (server.probe("/readyz").status_code, server.probe("/readyz").json()) == (503, {"status": "draining"})
        assert ask(server) == 503
        server.signal(signal.SIGTERM)
        assert server.end(SECONDS)[0] == 0


def test_sigint_does_not_wait(model_dir: Path) -> None:
    """Ctrl-C is for people: no delay for those who are still to come."""
    with RealServer(model_dir, {"ASR_DRAIN_DELAY": "600", "ASR_DRAIN_TIMEOUT": "600"}) as server:
        server.signal(signal.SIGINT)
        assert server.end(SECONDS)[0] == 0


def test_a_busy_admin_port_ends_the_start(model_dir: Path) -> None:
    """Exit code 3, one line that names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {"ASR_ADMIN_PORT": str(taken.getsockname()[1])}
        with pytest.raises(RuntimeError, match="--admin-port"), RealServer(model_dir, settings):
            pass


@pytest.mark.long
@pytest.mark.parametrize("most", ["0", "1000"], ids=["within the limit", "beyond the descriptors"])
def test_more_connections_than_descriptors(most: str, model_dir: Path) -> None:
    """256 descriptors and 400 connections: the server goes on, whether it foresaw that or not."""
    settings = {"ASR_MAX_CONNECTIONS": most, "ASR_HEADER_TIMEOUT": "2"}
    with contextlib.ExitStack() as stack, RealServer(model_dir, settings, descriptors=256) as server:
        for _ in range(400):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert until(says(server, 'asr_connections_closed_total{reason="limit"} '), SECONDS)
        assert ask(server) == 200
        assert "Traceback" not in server.log
        server.signal(signal.SIGTERM)
        assert server.end(SECONDS)[0] == 0
