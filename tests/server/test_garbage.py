"""How the collector of cycles is set while the service runs."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from asr_api.server.garbage import MIDDLE, NEVER, YOUNG, collect, rest
from asr_api.server.protocol import Connection

from .serving import Client, Echo, get, served, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("restored")]


class Knot:
    """Holds itself."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture
def restored() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_was_loaded_is_not_looked_at_again() -> None:
    """All objects that were there are out of the collector's sight, and new ones are not."""
    before = len(gc.get_objects())
    rest()
    assert gc.get_freeze_count() > before / 2
    assert len(gc.get_objects()) < before / 2
    assert gc.get_threshold() == (YOUNG, MIDDLE, NEVER)
    new: list[list[int]] = [[]]
    assert any(one is new for one in gc.get_objects())


async def test_what_outlives_the_small_rounds_goes_in_the_end() -> None:
    """A cycle that is old by now is found."""
    rest()
    knot = Knot()
    left = weakref.ref(knot)
    gc.collect(0)
    gc.collect(1)
    del knot
    collecting = asyncio.create_task(collect(0.001))
    async with asyncio.timeout(30):
        while left() is not None:
            await asyncio.sleep(0.001)
    collecting.cancel()


async def test_a_connection_that_ended_leaves_no_garbage() -> None:
    """What it held is freed at once, whether it was closed by its client, by the server, or never said a word."""
    async with served(Echo(), header_timeout=0.05) as server:
        for number in range(4):
            if number == 1:  # by now all that is made once is made
                gc.collect()
                gc.disable()
            async with Client.connect(server.port) as client:
                await client.send(get("/one", "Connection: close"))
                await client.replies()
            async with Client.connect(server.port) as client:
                await client.send(get("/two"))
                await client.reply()
            async with Client.connect(server.port) as client:
                await client.ended()
            await until(lambda: not len(server.connections))
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            assert [one for one in gc.garbage if isinstance(one, Connection)] == []
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
