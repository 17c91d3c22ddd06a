"""The servers of a comparison: those that it starts, and those that run already, wherever that is."""

import asyncio
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from .clips import Clip
from .loop import TRANSCRIBE, Route, Run, closed_loop, openai_route
from .process import START_TIMEOUT, ServerFailed, ServerProcess, free_port, running

PORT = "{port}"
"""What stands for the port in a command line."""

PAUSE = 0.5
"""Seconds between two attempts to be heard."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server by its name: where it runs, or what starts it, and how it is asked.

    `probe` is the path that says 200 when it is ready; without one it is ready when it answers.
    """

    name: str
    url: str = ""
    command: Sequence[str] = ()
    route: Route = TRANSCRIBE
    probe: str = "/readyz"

    @classmethod
    def parse(cls, text: str, model: str) -> Self:
        """`NAME=http://HOST:PORT`, or `NAME=COMMAND` in which `{port}` stands; it speaks OpenAI's API.

        Raises ValueError.
        """
        name, found, where = text.partition("=")
        if not (found and name and where):
            raise ValueError(f"a rival is NAME=URL or NAME=COMMAND, not {text!r}")
        if where.startswith(("http://", "https://")):
            return cls(name, url=where.rstrip("/"), route=openai_route(model), probe="")
        if PORT not in where:
            raise ValueError(f"the command of {name} does not say where {PORT} goes: {where!r}")
        return cls(name, command=tuple(shlex.split(where)), route=openai_route(model), probe="")

    @contextmanager
    def started(self) -> Iterator["Running"]:
        """The server, from its start to its end where it is ours to start. Raises ServerFailed."""
        if self.url:
            yield Running(self, self.url)
            return
        port = free_port()
        command = [word.replace(PORT, str(port)) for word in self.command]
        with running(command, port, self.probe) as process:
            yield Running(self, process.url, process)


@dataclass(frozen=True, slots=True)
class Running:
    """A contender that answers at `url`; `process` is None where it is not ours."""

    contender: Contender
    url: str
    process: ServerProcess | None = None

    async def hear(self, clips: Sequence[Clip], users: int) -> Run:
        """Each clip once, by so many users."""
        return await closed_loop(self.url, clips, users, route=self.contender.route)

    async def warm_up(self, clip: Clip) -> None:
        """Have it hear a clip, as soon as it hears anything: the first call of all is slower than any other.

        Raises ServerFailed where it does not for as long as a server may take to start.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while fault := (await self.hear([clip], 1)).answers[0].error:
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.contender.name} does not transcribe: {fault}")
            await asyncio.sleep(PAUSE)

    def cpu_seconds(self) -> float | None:
        """Processor time so far; None where it cannot be seen from here."""
        return self.process.cpu_seconds() if self.process else None
