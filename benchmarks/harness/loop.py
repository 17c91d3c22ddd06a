"""Load over HTTP: users who post the next clip once the last is answered, or arrivals that wait for nobody."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from .clips import Clip


@dataclass(frozen=True, slots=True)
class Route:
    """Where clips are posted, and the fields that go along."""

    path: str
    fields: Mapping[str, str] = field(default_factory=dict)


TRANSCRIBE = Route("/transcribe")


def openai_route(model: str) -> Route:
    """That of OpenAI's API."""
    return Route("/v1/audio/transcriptions", {"model": model})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one clip after how many seconds: a text, or why there is none.

    In an open loop they count from when the clip was due, however late it was sent.
    """

    clip: Clip
    seconds: float
    text: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """The answers of one loop, in the order in which they came, and the seconds from start to end.

    `concurrency` is 0 for an open loop.
    """

    concurrency: int
    answers: tuple[Answer, ...]
    seconds: float


async def closed_loop(
    url: str, clips: Sequence[Clip], concurrency: int, *, tell_language: bool = False, route: Route = TRANSCRIBE
) -> Run:
    """Post each clip once to the server at `url`, with `concurrency` requests under way, over kept connections.

    Files are read beforehand. The last requests run with less company: a share of
    `concurrency / len(clips)` of the run at most. Raises nothing for a refusal: it is in the answer.
    """
    waiting = iter(clips)

    async def user(desk: "_Desk", waiting: Iterator[Clip]) -> None:
        for clip in waiting:
            await desk.post(clip, time.perf_counter())

    async with _desk(url, clips, route, tell_language) as desk:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as users:
            for _ in range(concurrency):
                users.create_task(user(desk, waiting))
        return Run(concurrency, tuple(desk.answers), time.perf_counter() - started)


async def open_loop(url: str, clips: Sequence[Clip], rate: float, seed: int, *, tell_language: bool = False) -> Run:
    """Post each clip once at a random moment, `rate` a second on average (a Poisson process, which the seed
    decides), whatever has been answered by then. Raises nothing for a refusal: it is in the answer.
    """
    pauses = random.Random(seed)

    async def send(desk: "_Desk", clip: Clip, due: float) -> None:
        await asyncio.sleep(due - time.perf_counter())
        await desk.post(clip, due)

    async with _desk(url, clips, TRANSCRIBE, tell_language) as desk:
        started = due = time.perf_counter()
        async with asyncio.TaskGroup() as arrivals:
            for clip in clips:
                due += pauses.expovariate(rate)
                arrivals.create_task(send(desk, clip, due))
        return Run(0, tuple(desk.answers), time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where clips are posted, over kept connections, and their answers kept; the files have been read."""

    client: httpx2.AsyncClient
    contents: Mapping[Path, bytes]
    route: Route
    tell_language: bool
    answers: list[Answer] = field(default_factory=list)

    async def post(self, clip: Clip, due: float) -> None:
        told = {"language": clip.language} if self.tell_language else {}
        route = Route(self.route.path, {**self.route.fields, **told})
        self.answers.append(await _post(self.client, clip, self.contents[clip.path], route, due))


@asynccontextmanager
async def _desk(url: str, clips: Sequence[Clip], route: Route, tell_language: bool) -> AsyncIterator[_Desk]:
    contents = {path: path.read_bytes() for path in {clip.path for clip in clips}}
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(base_url=url, timeout=None, limits=limits) as client:
        yield _Desk(client, contents, route, tell_language)


async def _post(client: httpx2.AsyncClient, clip: Clip, content: bytes, route: Route, due: float) -> Answer:
    file = (clip.path.name, content)
    try:
        response = await client.post(route.path, files={"file": file}, data=dict(route.fields))
    except httpx2.RequestError as error:
        return Answer(clip, time.perf_counter() - due, error=f"{type(error).__name__}: {error}")
    seconds = time.perf_counter() - due
    if not response.is_success:
        return Answer(clip, seconds, error=f"{response.status_code}: {response.text[:200]}")
    return Answer(clip, seconds, response.json()["text"])
