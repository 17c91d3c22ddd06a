"""What the service and a decode worker say to each other over a socket: JSON with bytes after it.

A frame is two lengths (32 bits each, network order), that many bytes of JSON and that many of
payload. What a worker says is checked like any input: the file it decodes may have taken it over.
"""

import json
import struct
from dataclasses import asdict, dataclass
from typing import Literal

from asr_api.transcription import AudioOptions, FeatureChunk, Span

HEADER = struct.Struct("!II")
"""The lengths of a frame's JSON and of its payload, in bytes."""

MAX_MESSAGE = 64 * 1024
"""Bytes of JSON at most."""

MAX_PAYLOAD = 4 << 20
"""Bytes of payload at most: an upload held in memory, or 30 s of features, take less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Prepare a file: the payload holds it, or, where `descriptor` says so, an open file comes with one byte."""

    options: AudioOptions
    n_mels: int
    max_seconds: float
    descriptor: bool
    kind: Literal["order"] = "order"


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for the file any more. Without meaning where the worker has none."""

    kind: Literal["cancel"] = "cancel"


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker takes orders; `memory` is what it holds by then, in bytes."""

    memory: int
    kind: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The order has come; the file was not looked at yet."""

    kind: Literal["accepted"] = "accepted"


@dataclass(frozen=True, slots=True)
class Opened:
    """The file is audio of a kind that is read; how long it says it is, in seconds, if it does."""

    claimed_seconds: float | None
    kind: Literal["opened"] = "opened"


@dataclass(frozen=True, slots=True)
class Progress:
    """So many seconds of audio were decoded so far."""

    seconds: float
    kind: Literal["progress"] = "progress"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk, whose features are the payload: `frames` columns of float16."""

    offset: int
    length: int
    voiced: float
    speech: tuple[Span, ...]
    frames: int
    kind: Literal["chunk"] = "chunk"


@dataclass(frozen=True, slots=True)
class Done:
    """All was said about the file, which has so many seconds; the worker holds `memory` and takes the next order."""

    seconds: float
    memory: int
    kind: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Refused:
    """The file cannot be transcribed; the worker holds `memory` and takes the next order."""

    message: str
    code: str
    memory: int
    kind: Literal["refused"] = "refused"


Event = Opened | Progress | FeatureChunk
"""What the front end tells of a file; chunks travel as Chunk with their features."""

Reply = Ready | Accepted | Opened | Progress | Chunk | Done | Refused
Message = Order | Cancel | Reply


def head(message: Message, payload: int = 0) -> bytes:
    """All of a frame that stands before its payload."""
    body = json.dumps(asdict(message)).encode()
    return HEADER.pack(len(body), payload) + body
