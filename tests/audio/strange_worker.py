"""A decode worker that does what the file says: the file's first word names an act, the second its measure."""

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from asr_api.audio.messages import Event, Opened, Order, Progress
from asr_api.audio.worker import main
from asr_api.errors import InvalidAudio
from asr_api.transcription import ChunkPlace, FeatureChunk

SECOND = 16_000
LEAKED: list[object] = []


def chunk(number: int, order: Order) -> FeatureChunk:
    """One second of audio whose features are all its number."""
    features = np.full((order.n_mels, 100), number, np.float16)
    return FeatureChunk(ChunkPlace(number * SECOND, SECOND, 1.0), features)


def chunks(order: Order, count: int) -> Iterator[Event]:
    for number in range(count):
        yield chunk(number, order)
        yield Progress(number + 1.0)


def endless(order: Order, _: int) -> Iterator[Event]:
    yield from chunks(order, 1 << 40)


def refuse(order: Order, count: int) -> Iterator[Event]:
    yield from chunks(order, count)
    raise InvalidAudio("bad at its end", code="corrupt_audio", param="file")


def crash(order: Order, count: int) -> Iterator[Event]:
    yield from chunks(order, count)
    ctypes.string_at(0)


def die(order: Order, count: int) -> Iterator[Event]:
    yield from chunks(order, count)
    os.kill(os.getpid(), signal.SIGKILL)


def mortal(order: Order, _: int) -> Iterator[Event]:
    yield from chunks(order, 3)


def hang(order: Order, count: int) -> Iterator[Event]:
    yield from chunks(order, count)
    os.kill(os.getpid(), signal.SIGSTOP)


def spin(_: Order, __: int) -> Iterator[Event]:
    while True:
        yield from ()


def eat(_: Order, megabytes: int) -> Iterator[Event]:
    try:
        np.ones(megabytes << 17)
    except MemoryError:
        raise InvalidAudio("too much memory", code="audio_too_complex") from None
    yield from ()


def keep(_: Order, megabytes: int) -> Iterator[Event]:
    """What a decoder that leaks would do."""
    LEAKED.append(np.ones(megabytes << 17))
    yield from ()


def lie(order: Order, frames: int) -> Iterator[Event]:
    """A chunk that says it has audio before the file begins."""
    yield FeatureChunk(ChunkPlace(-1, SECOND, 1.0), np.zeros((order.n_mels, frames), np.float16))


def babble(_: Order, size: int) -> Iterator[Event]:
    os.write(0, b"x" * size)
    yield from ()


def reach_out(_: Order, __: int) -> Iterator[Event]:
    """Try what a taken-over decoder would; the file is refused with how each attempt ended."""
    attempts: list[Callable[[], object]] = [
        lambda: socket.socket(),
        lambda: os.open("/etc/passwd", os.O_RDONLY),
        lambda: os.open("left-behind", os.O_WRONLY | os.O_CREAT),
        lambda: subprocess.Popen(["/bin/true"]),
        lambda: os.execv("/bin/true", ["true"]),
        lambda: os.write(2, b"not to be seen"),
    ]
    ends = [_end_of(attempt) for attempt in attempts]
    raise InvalidAudio(" ".join([*ends, repr(sorted(os.environ)), _end_of(os.getcwd)]), code="corrupt_audio")
    yield


def _end_of(attempt: Callable[[], object]) -> str:
    try:
        return str(attempt())
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def boast(order: Order, count: int) -> Iterator[Event]:
    """A file that says it lasts for ever."""
    yield from chunks(order, count)


BOASTS = {b"boast": 1e300}

ACTS = {
    act.__name__: act
    for act in (chunks, endless, refuse, crash, die, mortal, hang, spin, eat, keep, lie, boast, babble, reach_out)
}


def prepare(source: BinaryIO, order: Order) -> Iterator[Event]:
    act, measure = source.read(64).rstrip(b"\0").split()
    if act == b"mortal" and os.getpid() == int(measure):
        os.kill(os.getpid(), signal.SIGKILL)
    if act == b"despair":
        os.kill(os.getpid(), signal.SIGKILL)
    yield Opened(BOASTS.get(act, 3.0))
    yield from ACTS[act.decode()](order, int(measure))


if __name__ == "__main__":
    main(lambda: prepare, int(sys.argv[1]), float(sys.argv[2]))
