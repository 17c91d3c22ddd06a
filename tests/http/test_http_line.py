"""Whoever waits for the engine is told how many are before him."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

import httpx2
import pytest

from asr_api.http.line import Line, Spot
from asr_api.metrics.labels import Phase
from asr_api.trace import Trace
from asr_api.transcription import Transcription, TranscriptionOptions
from tests.http.fakes import AUDIO, FakeService
from tests.http.serving import serving


def spots(count: int) -> list[tuple[Spot, list[int]]]:
    """Requests in one line, each with what it was told."""
    line = Line()
    made: list[tuple[Spot, list[int]]] = []
    for _ in range(count):
        told: list[int] = []
        spot = Spot(line, lambda _, __: None)
        spot.tell = told.append
        made.append((spot, told))
    return made


def test_each_hears_its_place_and_every_change_of_it() -> None:
    """Those behind whoever is served or goes away move up; those before do not. The first has nothing to hear."""
    (first, one), (second, two), (third, three), (_, none) = spots(4)
    for spot in (first, second, third):
        spot.moved("decode", "queue")
    second.moved("queue", None)
    first.moved("queue", "inference")
    assert (one, two, three, none) == ([], [1], [2, 1, 0], [])


@pytest.mark.parametrize("phase", ["decode", "response"])
def test_an_answer_that_begins_is_no_turn(phase: Phase) -> None:
    """Only the engine ends the wait."""
    (first, _), (second, two) = spots(2)
    first.moved("decode", "queue")
    second.moved("decode", "queue")
    first.moved("queue", phase)
    assert two == [1]


def test_who_was_served_waits_in_no_line() -> None:
    """Between two of its chunks a request is at work."""
    (first, one), (second, two) = spots(2)
    for phase in ("queue", "inference", "queue"):
        first.moved(None, phase)
    second.moved("decode", "queue")
    assert (one, two) == ([], [])


class Queueing(FakeService):
    """Each request waits for the engine until the test lets it go on."""

    async def transcribe(
        self, upload: BinaryIO, options: TranscriptionOptions, trace: Trace, **rest: Any
    ) -> Transcription:
        trace.enter("queue")
        return await super().transcribe(upload, options, trace, **rest)


def client_of(port: int) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)


@asynccontextmanager
async def stream(client: httpx2.AsyncClient) -> AsyncIterator[AsyncIterator[str]]:
    form = {"stream": "ndjson"}
    async with client.stream("POST", "/transcribe", files={"file": AUDIO}, data=form) as answer:
        yield answer.aiter_lines()


@pytest.mark.anyio
async def test_a_stream_tells_the_place() -> None:
    """Before anything is heard, and again as it changes."""
    service = Queueing(gated=True)
    async with serving(service) as port, client_of(port) as client, asyncio.timeout(20):
        first = asyncio.create_task(client.post("/transcribe", files={"file": AUDIO}))
        await service.entered.wait()
        async with stream(client) as second:
            assert json.loads(await anext(second)) == {"type": "queue", "ahead": 1}
            first.cancel()
            while json.loads(await anext(second)) != {"type": "queue", "ahead": 0}:
                pass
            service.proceed()
            events = [json.loads(line)["type"] async for line in second]
    assert events[-1] == "done"
