"""A service kept full: users who post again at once, measured between two answers in the middle."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx2

from .recordings import Recording


class Refused(Exception):
    """An answer was not 200; under saturation within the limits none is refused."""


@dataclass(frozen=True, slots=True)
class Done:
    """When an answer had come, by `time.perf_counter`, and the seconds of its audio."""

    moment: float
    audio_seconds: float


async def keep_full(url: str, recordings: Sequence[Recording], users: int, answers: int) -> list[Done]:
    """Post recordings in turn, `users` at once, until `answers` have come; in the order in which they came.

    Raises Refused.
    """
    done: list[Done] = []
    turn = itertools.islice(itertools.cycle(recordings), answers)
    limits = httpx2.Limits(max_connections=users)
    async with (
        httpx2.AsyncClient(base_url=url, timeout=None, limits=limits) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(users):
            group.create_task(_user(client, turn, done))
    return done


def rate_between(done: Sequence[Done], first: int, last: int) -> float:
    """Audio seconds a second from answer number `first`, not counted, to answer number `last`, from 1 on.

    Answers come in bursts, a batch each. With `last - first` a multiple of the batch size both ends
    are at one place of their burst, so that the rate is that of whole batches.
    """
    audio = sum(one.audio_seconds for one in done[first:last])
    return audio / (done[last - 1].moment - done[first - 1].moment)


async def _user(client: httpx2.AsyncClient, turn: Iterator[Recording], done: list[Done]) -> None:
    for recording in turn:
        response = await client.post("/transcribe", files={"file": ("recording.wav", recording.content)})
        if not response.is_success:
            raise Refused(f"{response.status_code}: {response.text[:200]}")
        done.append(Done(time.perf_counter(), recording.seconds))
