"""What is ahead of the engine: few chunks in memory, the rest on disk, all in order."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from asr_api.audio.backlog import Backlog
from asr_api.errors import InvalidAudio
from asr_api.metrics import Metrics
from asr_api.spool import Spool
from asr_api.transcription import ChunkPlace, FeatureChunk

pytestmark = pytest.mark.anyio

SIZE = 2 * 80 * 100
"""Bytes of a chunk here."""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, 10 * SIZE, Metrics("test"))


@pytest.fixture
def backlog(spool: Spool) -> Backlog:
    """Room for three chunks in memory and for ten on disk."""
    return Backlog(spool.file(0), 3 * SIZE)


def chunk(number: int) -> FeatureChunk:
    return FeatureChunk(ChunkPlace(number, 1, 0.5), np.full((80, 100), number, np.float16))


async def take(backlog: Backlog) -> int:
    taken = await backlog.take()
    assert taken is not None
    assert np.all(taken.features == taken.place.offset)
    return taken.place.offset


async def until_waiting(task: asyncio.Task[None]) -> None:
    """Let everything else run, in this loop and at the disk."""
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert not task.done()


async def test_what_does_not_fit_in_memory_waits_on_disk(backlog: Backlog, spool: Spool) -> None:
    """In order, whichever way each chunk went, with its features as they were."""
    for number in range(8):
        await backlog.put(chunk(number))
    assert spool.used == 5 * SIZE
    assert [await take(backlog) for _ in range(4)] == [0, 1, 2, 3]
    await backlog.put(chunk(8))
    await backlog.end()
    assert [await take(backlog) for _ in range(5)] == [4, 5, 6, 7, 8]
    assert await backlog.take() is None
    await backlog.close()
    assert (spool.used, spool.files) == (0, 0)


async def test_where_the_disk_is_full_the_decoder_waits(backlog: Backlog) -> None:
    """Nothing is lost and nothing fails: `put` goes on when chunks were taken."""
    for number in range(13):
        await backlog.put(chunk(number))
    late = asyncio.create_task(backlog.put(chunk(13)))
    await until_waiting(late)
    assert await take(backlog) == 0
    await late
    await backlog.end()
    assert [await take(backlog) for _ in range(13)] == list(range(1, 14))
    await backlog.close()


async def test_an_error_comes_at_once(backlog: Backlog) -> None:
    """What a bad file gave before it turned out bad is not wanted any more."""
    await backlog.put(chunk(0))
    await backlog.end(InvalidAudio("bad"))
    with pytest.raises(InvalidAudio, match="bad"):
        await backlog.take()
    await backlog.close()


async def test_take_waits_for_the_decoder(backlog: Backlog) -> None:
    """The engine is faster than a slow decoder, now and then."""
    waiting = asyncio.create_task(take(backlog))
    await asyncio.sleep(0)
    await backlog.put(chunk(7))
    assert await waiting == 7
    await backlog.close()


async def test_closing_lets_the_decoder_go(backlog: Backlog, spool: Spool) -> None:
    """One that waits for room, and all that come after it, put into nothing."""
    for number in range(13):
        await backlog.put(chunk(number))
    late = asyncio.create_task(backlog.put(chunk(13)))
    await until_waiting(late)
    await backlog.close()
    await late
    await backlog.put(chunk(14))
    assert (spool.used, spool.files) == (0, 0)


async def test_closing_waits_for_a_write_that_was_cancelled(backlog: Backlog, spool: Spool) -> None:
    """A thread that is still at the file is never left with one that is closed."""
    for number in range(3):
        await backlog.put(chunk(number))
    parking = [asyncio.create_task(backlog.put(chunk(number))) for number in range(3, 8)]
    await asyncio.sleep(0)
    for task in parking:
        task.cancel()
    await asyncio.gather(*parking, return_exceptions=True)
    await backlog.close()
    assert (spool.used, spool.files) == (0, 0)
