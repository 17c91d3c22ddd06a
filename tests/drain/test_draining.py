"""Draining, step by step, with a service that a test holds back."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import pytest

from asr_api.admission import Place
from asr_api.errors import Draining
from asr_api.http import create_http_app
from asr_api.server.drain import Drain, DrainLimits

from ..http.fakes import AUDIO, FakeService, multipart
from ..server.serving import Client, Reply, Served, get, served, until

pytestmark = pytest.mark.anyio

BODY, HEADERS = multipart(("file", AUDIO))
POST = (
    f"POST /transcribe HTTP/1.1\r\nHost: test\r\nContent-Type: {HEADERS['content-type']}\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n"
).encode() + BODY
PATIENT = DrainLimits(delay=0, timeout=20)


class HeldService(FakeService):
    """Its requests wait until it lets them go, or is closed; `stubborn`, they wait even then."""

    def __init__(self, *, gated: bool = True, stubborn: bool = False) -> None:
        super().__init__(gated=gated)
        self._stubborn = stubborn

    @contextmanager
    def admitted(self, tenant: str = "") -> Iterator[Place]:
        self._check_state()
        with super().admitted(tenant) as place:
            yield place

    async def close(self, grace: float | None = None) -> None:
        if not self._stubborn:
            self._error = Draining("the service is shutting down")
            self.proceed()


@asynccontextmanager
async def draining(
    service: FakeService, limits: DrainLimits = PATIENT
) -> AsyncIterator[tuple[Served, Drain, AsyncExitStack]]:
    """The service behind the edge, and its drain, which is begun when a test begins it."""
    async with served(create_http_app(service)) as server, AsyncExitStack() as stack:
        yield server, Drain(service, server.edge.acceptor, server.connections, limits), stack


def begin(drain: Drain) -> "asyncio.Task[None]":
    drain.begin()
    return asyncio.create_task(drain.run())


def facts(reply: Reply | None) -> tuple[int, str] | None:
    """Status, and whether the connection goes on."""
    return None if reply is None else (reply.status, reply.headers.get("connection", "goes on"))


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
    except OSError:
        return True
    return False


async def test_requests_finish_and_new_ones_are_refused() -> None:
    """The port stays open as long as a request is in progress; each answer closes its connection."""
    service = HeldService()
    async with draining(service) as (server, drain, stack):
        running, kept, fresh, probe = [await stack.enter_async_context(Client.connect(server.port)) for _ in range(4)]
        await running.send(POST)
        await service.entered.wait()
        await kept.send(get("/livez"))
        assert facts(await kept.reply()) == (200, "goes on")
        end = begin(drain)
        await probe.send(get("/readyz"))
        assert facts(await probe.reply()) == (503, "close")
        for client in (kept, fresh):
            await client.send(POST)
            reply = await client.reply()
            assert reply is not None
            assert (facts(reply), reply.code) == ((503, "close"), "draining")
        late = await stack.enter_async_context(Client.connect(server.port))
        await late.send(POST)
        assert facts(await late.reply()) == (503, "close")
        service.proceed()
        assert facts(await running.reply()) == (200, "close")
        await end
        assert refuses(server.port)
        assert server.closed("drain") == 5


async def test_the_port_stays_open_for_the_delay() -> None:
    """Though nothing is in progress: those who do not know yet are refused politely."""
    refused = 0
    async with draining(HeldService(), DrainLimits(0.3, 20)) as (server, drain, _):
        end = begin(drain)
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                async with Client.connect(server.port) as client:
                    await client.send(POST)
                    assert facts(await client.reply()) == (503, "close")
                    refused += 1
        await end
        assert refuses(server.port)
    assert refused > 1


async def test_after_the_timeout_the_rest_is_refused() -> None:
    """503 `draining`, as if they had come late; never a reset, never a 500."""
    service = HeldService()
    async with draining(service, DrainLimits(0, 0.2)) as (server, drain, stack):
        clients = [await stack.enter_async_context(Client.connect(server.port)) for _ in range(5)]
        for client in clients:
            await client.send(POST)
        await until(lambda: service.running == 5)
        end = begin(drain)
        assert [facts(await client.reply()) for client in clients] == [(503, "close")] * 5
        await end


async def test_a_request_that_does_not_end_is_refused_all_the_same() -> None:
    """Whatever the application does, its client has an answer before the process ends."""
    service = HeldService(stubborn=True)
    async with draining(service, DrainLimits(0, 0.1)) as (server, drain, stack):
        client = await stack.enter_async_context(Client.connect(server.port))
        await client.send(POST)
        await service.entered.wait()
        end = begin(drain)
        reply = await client.reply()
        assert reply is not None
        assert (facts(reply), reply.code) == ((503, "close"), "draining")
        await end
        service.proceed()


async def test_a_second_signal_ends_the_patience() -> None:
    """What is in progress is refused at once, long before the timeout."""
    service = HeldService()
    async with draining(service, DrainLimits(1000, 1000)) as (server, drain, stack):
        client = await stack.enter_async_context(Client.connect(server.port))
        await client.send(POST)
        await service.entered.wait()
        end = begin(drain)
        drain.hurry()
        assert facts(await client.reply()) == (503, "close")
        await end


async def test_an_upload_in_progress_may_finish() -> None:
    """It was admitted; its transcription counts as work in progress too."""
    service = HeldService(gated=False)
    async with draining(service) as (server, drain, stack):
        client = await stack.enter_async_context(Client.connect(server.port))
        await client.send(POST[:-20])
        await until(lambda: service.running)
        end = begin(drain)
        await client.send(POST[-20:])
        assert facts(await client.reply()) == (200, "close")
        await end


async def test_an_upload_that_takes_too_long_is_refused() -> None:
    """With 503 and not with a reset, though its body still comes."""
    service = HeldService(gated=False)
    async with draining(service, DrainLimits(0, 0.2)) as (server, drain, stack):
        client = await stack.enter_async_context(Client.connect(server.port))
        await client.send(POST[:-20])
        await until(lambda: service.running)
        end = begin(drain)
        reply = await client.reply()
        assert reply is not None
        assert (facts(reply), reply.code) == ((503, "close"), "draining")
        await client.send(POST[-20:])
        assert await client.ended() == b""
        await end


async def test_pipelined_requests_are_all_answered() -> None:
    """Those that came on one connection before its last answer; only that one closes it."""
    service = HeldService()
    async with draining(service) as (server, drain, stack):
        client = await stack.enter_async_context(Client.connect(server.port))
        await client.send(POST + POST + get("/v1/models"))
        await service.entered.wait()
        end = begin(drain)
        service.proceed()
        answers = [facts(reply) for reply in await client.replies()]
        assert answers == [(200, "goes on"), (503, "goes on"), (200, "close")]
        await end


async def test_silent_connections_do_not_hold_it_up() -> None:
    """They are closed when they have been silent for a while."""
    async with draining(HeldService(), DrainLimits(0, 1000)) as (server, drain, stack):
        silent = await stack.enter_async_context(Client.connect(server.port))
        kept = await stack.enter_async_context(Client.connect(server.port))
        await kept.send(get("/livez"))
        assert await kept.reply() is not None
        await begin(drain)
        assert (await silent.ended(), await kept.ended()) == (b"", b"")
        assert server.closed("drain") == 2


async def test_a_failed_service_stays_failed() -> None:
    """Whoever asks while it ends hears what is the matter."""
    service = HeldService()
    service.state = "failed"
    async with draining(service) as (_, drain, __):
        await begin(drain)
        assert service.state == "failed"
