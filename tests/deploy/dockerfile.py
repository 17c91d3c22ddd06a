"""A Dockerfile as a list of instructions, stage by stage."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCKERFILE = Path(__file__).parents[2] / "docker" / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """`RUN` and the rest of its line, continuations joined."""

    word: str
    rest: str


@dataclass(frozen=True)
class Stage:
    """What lies between one FROM and the next."""

    name: str
    source: str
    instructions: tuple[Instruction, ...]

    def of(self, word: str) -> list[str]:
        return [each.rest for each in self.instructions if each.word == word]


def instructions_of(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, rest = line.split(maxsplit=1)
            yield Instruction(word.upper(), " ".join(rest.split()))


def stages_of(text: str) -> dict[str, Stage]:
    """The stages by their names. Raises ValueError where one has none."""
    parts: list[list[Instruction]] = []
    for each in instructions_of(text):
        if each.word == "FROM":
            parts.append([])
        parts[-1].append(each)
    stages = {}
    for first, *rest in parts:
        source, _, name = first.rest.split()
        stages[name] = Stage(name, source, tuple(rest))
    return stages


@dataclass(frozen=True)
class Target:
    """A stage with all that it inherits, the oldest first."""

    stages: tuple[Stage, ...]

    def of(self, word: str) -> list[str]:
        return [rest for stage in self.stages for rest in stage.of(word)]

    @property
    def environment(self) -> dict[str, str]:
        pairs = [pair for rest in self.of("ENV") for pair in shlex.split(rest)]
        return dict(pair.split("=", 1) for pair in pairs)


def target_of(stages: dict[str, Stage], name: str) -> Target:
    chain = [stages[name]]
    while chain[-1].source in stages:
        chain.append(stages[chain[-1].source])
    return Target(tuple(reversed(chain)))


def read(path: Path = DOCKERFILE) -> dict[str, Stage]:
    return stages_of(path.read_text(encoding="utf-8"))


def script_of(run: str) -> str:
    """The command of a RUN without its mounts."""
    return re.sub(r"--mount=\S+\s*", "", run)
