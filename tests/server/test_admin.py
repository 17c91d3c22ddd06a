"""The admin port: probes and metrics while the service drains, hangs, or has much to do."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from asr_api.metrics.labels import EngineState
from asr_api.pulse import Pulse
from asr_api.server import PortUnavailable, listen
from asr_api.server.admin import AdminServer
from asr_api.server.listening import url_of

from ..http.fakes import FakeService, client_of


class Clock:
    """Time as a test sets it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def admin_of(service: FakeService, pulse: Pulse) -> Iterator[httpx2.Client]:
    """A client of the admin port of a service."""
    listener = listen("127.0.0.1", 0)
    url = url_of(*listener.getsockname()[:2])
    server = AdminServer(service, pulse, listener, service.settings)
    server.start()
    try:
        with httpx2.Client(base_url=url, timeout=20, trust_env=False) as client:
            yield client
    finally:
        server.close()


def unheard(_: float) -> None:
    """Nobody wants to know how late it was."""


def test_it_has_the_probes_and_nothing_else() -> None:
    """Three paths, for which no key is needed."""
    with admin_of(FakeService(api_keys="me:secret-of-mine-1234"), Pulse(unheard)) as client:
        paths = ["/livez", "/readyz", "/metrics", "/", "/docs", "/openapi.json", "/transcribe", "/v1/models"]
        assert [client.get(path).status_code for path in paths] == [200, 200, 200, 404, 404, 404, 404, 404]
        assert "asr_requests_total" in client.get("/metrics").text


def test_with_it_the_api_has_no_probes() -> None:
    """They are on one port, not on both."""
    service = FakeService()
    service.settings = service.settings.model_copy(update={"admin_port": 0})
    client = client_of(service)
    assert [client.get(path).status_code for path in ("/livez", "/readyz", "/metrics")] == [404, 404, 404]
    assert client.get("/v1/models").status_code == 200


@pytest.mark.parametrize(
    ("state", "alive"), [("loading", 200), ("draining", 200), ("restarting", 200), ("failed", 503)]
)
def test_only_a_failed_service_is_not_alive(state: EngineState, alive: int) -> None:
    """A restart helps no service that loads, drains, or starts its engine again."""
    with admin_of(FakeService(state=state), Pulse(unheard)) as client:
        assert (client.get("/livez").status_code, client.get("/readyz").status_code) == (alive, 503)


def test_a_loop_that_hangs_is_not_alive() -> None:
    """Its last beat is longer ago than the patience; a beat makes it alive again."""
    clock = Clock()
    pulse = Pulse(unheard, patience=30, clock=clock)
    with admin_of(FakeService(), pulse) as client:
        seen = []
        for passed in (29.0, 2.0, 0.0):
            clock.now += passed
            if not passed:
                pulse.beat(clock.now)
            seen.append((client.get("/livez").status_code, client.get("/livez").json()["status"]))
        assert seen == [(200, "ok"), (503, "hangs"), (200, "ok")]


def test_a_blocked_loop_does_not_block_it() -> None:
    """While the service's loop does nothing else, probes are answered, and say so."""

    async def main() -> list[int]:
        pulse = Pulse(unheard, patience=0.5)
        pulse.start()
        with admin_of(FakeService(), pulse) as client:
            before = await asyncio.to_thread(client.get, "/livez")
            while (during := client.get("/livez")).status_code == 200:  # blocks this loop
                pass
        pulse.stop()
        return [before.status_code, during.status_code]

    assert asyncio.run(main()) == [200, 503]


def test_many_scrapes_leave_the_loop_in_peace() -> None:
    """A hundred at a time: all are answered, and the service's loop goes on beating."""
    late: list[float] = []

    async def main() -> list[int]:
        pulse = Pulse(late.append)
        pulse.start()
        with admin_of(FakeService(), pulse) as client:
            async with httpx2.AsyncClient(base_url=client.base_url, timeout=60, trust_env=False) as scraper:
                answers = await asyncio.gather(*(scraper.get("/metrics") for _ in range(100)))
                while not late:
                    await asyncio.sleep(0.01)
        pulse.stop()
        return [answer.status_code for answer in answers]

    assert asyncio.run(main()) == [200] * 100


def test_a_busy_admin_port_is_named() -> None:
    """The address, and the option to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortUnavailable, match=rf"port {port}: .*--admin-port") as caught:
            listen("127.0.0.1", port, "--admin-port")
    assert caught.value.exit_code == 3


def test_a_beat_says_how_late_it_was() -> None:
    """Seconds after it was due; never less than none."""
    clock, late = Clock(), list[float]()
    pulse = Pulse(late.append, clock=clock)
    pulse.beat(99.5)
    pulse.beat(100.5)
    assert late == [0.5, 0.0]
