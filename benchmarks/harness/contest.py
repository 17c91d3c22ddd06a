"""Servers that take turns on the same clips."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from .clips import Choice, Clip
from .contenders import Contender, Running
from .figures import Figures
from .loop import Run
from .machine import Processors
from .report import Setting, say, tell, write_json
from .table import figure, markdown, percent

HEADER = ("server", "users", "clips/s", "p50 s", "p95 s", "CPU s / audio s", "others' cores", "word errors %", "errors")
SPOKEN = Choice(2.5, 14, ("en", "ru"))
"""What is spoken into telephones, read aloud: some seconds."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One server's run in one round, with the processor time that it and that others took."""

    server: str
    run: Run
    cpu_seconds: float | None
    others_cores: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One server at one concurrency over all rounds, and the baseline's figures for the same.

    `round_seconds` is the length of each round; `others_cores` is of the round that was disturbed the most.
    """

    server: str
    figures: Figures
    cpu_per_audio_second: float | None
    others_cores: float | None
    round_seconds: tuple[float, ...]
    baseline: Figures

    @classmethod
    def of(cls, server: str, turns: Sequence[Turn], baseline: str) -> Self:
        own = [turn for turn in turns if turn.server == server]
        figures = Figures.of([turn.run for turn in own])
        other = Figures.of([turn.run for turn in turns if turn.server == baseline])
        return cls(
            server=server,
            figures=figures,
            cpu_per_audio_second=ratio(_sum(turn.cpu_seconds for turn in own), figures.audio_seconds),
            others_cores=max((turn.others_cores for turn in own if turn.others_cores is not None), default=None),
            round_seconds=tuple(turn.run.seconds for turn in own),
            baseline=other,
        )

    def cells(self) -> list[str]:
        own, other = self.figures, self.baseline
        return [
            self.server,
            str(own.concurrency),
            beside(own.requests_per_second, other.requests_per_second),
            beside(own.p50, other.p50),
            beside(own.p95, other.p95),
            figure(self.cpu_per_audio_second, 3),
            figure(self.others_cores),
            percent(own.word_errors),
            str(own.errors),
        ]


def _sum(values: Iterable[float | None]) -> float | None:
    """None where one is not known."""
    known = list(values)
    return None if None in known else sum(value or 0.0 for value in known)


def ratio(value: float | None, other: float | None) -> float | None:
    return None if value is None or not other else value / other


def beside(value: float | None, other: float | None) -> str:
    """The value, and how many times the other it is."""
    return f"{figure(value)} ({figure(ratio(value, other))}x)"


@contextmanager
def servers(contenders: Sequence[Contender]) -> Iterator[list[Running]]:
    """All servers, started one after another."""
    with ExitStack() as stack:
        started = []
        for contender in contenders:
            tell(f"starting {contender.name}")
            started.append(stack.enter_context(contender.started()))
        yield started


def take_turn(server: Running, clips: Sequence[Clip], users: int) -> Turn:
    name = server.contender.name
    before, processors = server.cpu_seconds(), Processors.look()
    run = asyncio.run(server.hear(clips, users))
    after = server.cpu_seconds()
    taken = None if before is None or after is None else after - before
    tell(f"{name}, {users} users: {len(clips)} clips in {run.seconds:.1f} s")
    for error in sorted({answer.error for answer in run.answers if answer.error}):
        tell(f"  {error}")
    return Turn(name, run, taken, processors.taken_by_others(taken or 0.0, run.seconds))


def play(started: Sequence[Running], clips: Sequence[Clip], users: int, rounds: int, baseline: str) -> list[Row]:
    """All rounds at one concurrency: every server gets the same clips in the same order, another first each time."""
    turns = []
    for number in range(rounds):
        first = number % len(started)
        turns += [take_turn(server, clips, users) for server in (*started[first:], *started[:first])]
    return [Row.of(server.contender.name, turns, baseline) for server in started]


def conclude(setting: Setting, rows: Sequence[Row], json: Path | None) -> None:
    """Say the table, and write it to a file where one is named."""
    say(f"{setting}\n\n{markdown(HEADER, [row.cells() for row in rows])}")
    if json:
        write_json(json, setting, [asdict(row) for row in rows])
