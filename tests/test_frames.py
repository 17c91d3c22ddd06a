"""Messages over a socket: whole or not at all, for threads and for an event loop alike."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.frames import FrameError, FrameSocket, exactly_async, framed, receive

pytestmark = pytest.mark.anyio


@contextmanager
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@asynccontextmanager
async def frames(most: int = 1000) -> AsyncIterator[tuple[FrameSocket, socket.socket]]:
    """Our end as frames, and the other as it is."""
    with sockets() as (ours, theirs):
        yield FrameSocket(ours, most), theirs


def sent(data: bytes) -> socket.socket:
    """A socket from which so much comes, and then nothing any more."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(data)
    return ours


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_messages_come_as_they_were_sent(messages: list[bytes]) -> None:
    """Each whole, in order, however they lie in the stream; then there are no more."""
    with sent(b"".join(map(framed, messages))) as connection:
        assert [receive(connection) for _ in messages] == messages
        with pytest.raises(EOFError):
            receive(connection)


@given(st.binary(min_size=1, max_size=50), st.data())
def test_what_was_cut_off_is_no_message(message: bytes, data: st.DataObject) -> None:
    """Wherever it was cut, in its length or after."""
    whole = framed(message)
    with sent(whole[: data.draw(st.integers(0, len(whole) - 1))]) as connection, pytest.raises(EOFError):
        receive(connection)


async def test_a_large_message_goes_through_a_small_socket() -> None:
    """Sender and receiver take turns; nothing is lost."""
    message = bytes(range(256)) * 8000
    async with frames(len(message)) as (ours, theirs):
        back = FrameSocket(theirs, len(message))
        async with asyncio.TaskGroup() as group:
            group.create_task(ours.send(message))
            received = group.create_task(back.receive())
    assert received.result() == message


@settings(max_examples=50)
@given(noise=st.binary(max_size=300))
def test_noise_ends(noise: bytes) -> None:
    """Whatever comes, each receive returns bytes within bounds or raises OSError, and none waits for ever."""

    async def listen(connection: socket.socket) -> None:
        ours = FrameSocket(connection, 40)
        while True:
            assert len(await ours.receive()) <= 40

    with sent(noise) as connection, pytest.raises(OSError, match=r"closed the socket|are allowed"):
        asyncio.run(listen(connection))


async def test_a_message_that_is_too_long_is_not_waited_for() -> None:
    """Its length alone is enough to know that the other end is not what it should be."""
    async with frames(most=10) as (ours, theirs):
        theirs.sendall(framed(b"x" * 11)[:4])
        with pytest.raises(FrameError, match="11 bytes"):
            await ours.receive()


async def test_who_waits_hears_that_the_socket_is_shut() -> None:
    """Here and at the other end."""
    async with frames() as (ours, theirs):
        waiting = asyncio.create_task(ours.receive())
        await asyncio.sleep(0)
        ours.shut()
        with pytest.raises(ConnectionResetError):
            await waiting
        with pytest.raises(EOFError):
            receive(theirs)
        ours.shut()


async def test_nobody_to_send_to_is_an_error() -> None:
    """Not a wait."""
    async with frames() as (ours, theirs):
        theirs.close()
        with pytest.raises(OSError, match="pipe"):
            await ours.send(b"x")


@pytest.mark.parametrize("make_loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_a_socket_that_was_closed_at_this_end_is_one_that_ended(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Whoever is about to read hears of it as of any other end."""
    with sockets() as (ours, _), asyncio.Runner(loop_factory=make_loop) as runner:
        ours.setblocking(False)
        ours.close()
        with pytest.raises(OSError, match=r"closed|Bad file"):
            runner.run(exactly_async(ours, 1))
