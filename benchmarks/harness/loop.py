"""A closed loop: so many users, each of whom posts the next clip as soon as the last is answered."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx2

from .clips import Clip


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one clip after how many seconds: a text, or why there is none."""

    clip: Clip
    seconds: float
    text: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """The answers of one loop, in the order in which they came, and the seconds from start to end."""

    concurrency: int
    answers: tuple[Answer, ...]
    seconds: float


async def closed_loop(url: str, clips: Sequence[Clip], concurrency: int, *, tell_language: bool = False) -> Run:
    """Post each clip once to `url`/transcribe, with `concurrency` requests under way, over kept connections.

    Files are read beforehand. The last requests run with less company: a share of
    `concurrency / len(clips)` of the run at most. Raises nothing for a refusal: it is in the answer.
    """
    contents = {clip.path: clip.path.read_bytes() for clip in clips}
    waiting = iter(clips)
    answers: list[Answer] = []

    async def user(client: httpx2.AsyncClient, waiting: Iterator[Clip]) -> None:
        for clip in waiting:
            fields = {"language": clip.language} if tell_language else {}
            answers.append(await _post(client, clip, contents[clip.path], fields))

    async with httpx2.AsyncClient(base_url=url, timeout=None) as client:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as users:
            for _ in range(concurrency):
                users.create_task(user(client, waiting))
        return Run(concurrency, tuple(answers), time.perf_counter() - started)


async def _post(client: httpx2.AsyncClient, clip: Clip, content: bytes, fields: dict[str, str]) -> Answer:
    started = time.perf_counter()
    try:
        response = await client.post("/transcribe", files={"file": (clip.path.name, content)}, data=fields)
    except httpx2.RequestError as error:
        return Answer(clip, time.perf_counter() - started, error=f"{type(error).__name__}: {error}")
    seconds = time.perf_counter() - started
    if not response.is_success:
        return Answer(clip, seconds, error=f"{response.status_code}: {response.text[:200]}")
    return Answer(clip, seconds, response.json()["text"])
