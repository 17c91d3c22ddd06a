"""The service's side: the real server in a process of its own, asked over HTTP."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from benchmarks.harness.clips import Clip
from benchmarks.harness.metrics import Counters, Served
from benchmarks.harness.process import free_port, running
from benchmarks.harness.processes import cpu_by_role

from .heard import Heard, TimedSegment, TimedWord


@dataclass(frozen=True, slots=True)
class Service:
    """A running server, and how many requests are under way at once."""

    url: str
    concurrency: int
    pid: int

    def engine_cpu_seconds(self) -> float:
        """Processor time that the engine's process took so far, on Linux: the same on a machine that others use."""
        return cpu_by_role(self.pid).get("engine", 0.0)

    def served(self) -> Served:
        """What it says of itself."""
        return Served.parse(self.metrics())

    def hear(self, clips: Sequence[Clip], *, words: bool = False, **fields: str) -> list[Heard]:
        """The transcripts in the order of the clips; the service finds the language unless `fields`, which are
        those of `/transcribe`, say it. `response_format="verbose_json"` among them brings segments.

        Raises httpx2.HTTPError for the first request that is refused.
        """
        timed = {"response_format": "verbose_json", "timestamp_granularities": "word"} if words else {}
        return asyncio.run(_post_all(self.url, clips, timed | fields, self.concurrency))

    def counters(self) -> Counters:
        """What it has done so far."""
        return Counters.parse(self.metrics())

    def metrics(self) -> str:
        """`/metrics` as it is now."""
        return httpx2.get(f"{self.url}/metrics").raise_for_status().text


@contextmanager
def serving(model: str, compute_type: str, beam_size: int, concurrency: int, **settings: object) -> Iterator[Service]:
    """The service with `model` on the CPU, from its start to its end. Raises ServerFailed."""
    port = free_port()
    options = {"model": model, "device": "cpu", "compute_type": compute_type, "beam_size": beam_size, "port": port}
    flags = [
        text for name, value in (options | settings).items() for text in (f"--{name.replace('_', '-')}", str(value))
    ]
    with running([sys.executable, "-m", "asr_api", "serve", *flags], port) as process:
        yield Service(process.url, concurrency, process.pid)


async def _post_all(url: str, clips: Sequence[Clip], fields: dict[str, str], concurrency: int) -> list[Heard]:
    places = asyncio.Semaphore(concurrency)

    async def post(client: httpx2.AsyncClient, clip: Clip) -> Heard:
        async with places:
            file = (clip.path.name, await asyncio.to_thread(clip.path.read_bytes))
            response = await client.post("/transcribe", files={"file": file}, data=fields)
        return parse(response.raise_for_status().json())

    async with httpx2.AsyncClient(base_url=url, timeout=None, trust_env=False) as client:
        return await asyncio.gather(*(post(client, clip) for clip in clips))


def parse(body: dict[str, Any]) -> Heard:
    """Our JSON answer; its words are inside its segments."""
    words = tuple(
        TimedWord(word["word"], word["start"], word["end"])
        for segment in body.get("segments", ())
        for word in segment.get("words", ())
    )
    segments = tuple(
        TimedSegment(one["text"], one["start"], one["end"], one.get("avg_logprob"), one.get("language"))
        for one in body.get("segments", ())
    )
    return Heard(body["text"], body["language"], words, segments)
