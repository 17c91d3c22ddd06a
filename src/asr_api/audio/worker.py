"""The process in which files are decoded: takes an order, answers in chunks, takes the next."""

import json
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO

from asr_api.audio.confinement import confine, memory_gauge, renew_cpu_limit
from asr_api.audio.messages import HEADER, Accepted, Chunk, Done, Event, Order, Progress, Ready, Refused, Reply, head
from asr_api.children import close_inherited, die_with_parent
from asr_api.errors import InvalidAudio
from asr_api.frames import exactly
from asr_api.transcription import AudioOptions, FeatureChunk

Prepare = Callable[[BinaryIO, Order], Iterator[Event]]
"""From a file to its chunks; says how far it is at least every 32 s of audio. Raises InvalidAudio."""


class Channel:
    """The worker's end of the socket. Every method raises EOFError or OSError when the service is gone."""

    def __init__(self, connection: socket.socket, plug: int) -> None:
        """`plug` is a descriptor that can be spared: no other is free, and a file needs one."""
        self._connection = connection
        self._plug = plug

    @property
    def waiting(self) -> bool:
        """Whether the service has said something that was not read yet."""
        return bool(select.select([self._connection], [], [], 0)[0])

    def send(self, reply: Reply, payload: bytes = b"") -> None:
        self._connection.sendall(head(reply, len(payload)))
        if payload:
            self._connection.sendall(payload)

    def orders(self) -> Iterator[tuple[Order, bytes]]:
        """The orders with their payloads, until the service ends; a cancellation without one is passed over."""
        while True:
            try:
                size, rest = HEADER.unpack(exactly(self._connection, HEADER.size))
            except EOFError:
                return
            fields, payload = json.loads(exactly(self._connection, size)), exactly(self._connection, rest)
            if fields["kind"] == "order":
                yield Order(**(fields | {"options": AudioOptions(**fields["options"])})), payload

    @contextmanager
    def file(self, order: Order, payload: bytes) -> Iterator[BinaryIO]:
        """The order's file. While it is open, all descriptors that this process may have are taken."""
        if not order.descriptor:
            yield BytesIO(payload)
            return
        os.close(self._plug)
        _, descriptors, _, _ = socket.recv_fds(self._connection, 1, 1)
        try:
            with os.fdopen(descriptors[0], "rb", closefd=False) as file:
                file.seek(0)
                yield file
        finally:
            os.close(descriptors[0])
            self._plug = os.dup(self._connection.fileno())


def serve(channel: Channel, prepare: Prepare, memory: Callable[[], int], cpu_seconds: float) -> None:
    """Answer orders until the service ends. Between two events the worker has `cpu_seconds` of CPU."""
    channel.send(Ready(memory()))
    for order, payload in channel.orders():
        channel.send(Accepted())
        with channel.file(order, payload) as file:
            try:
                seconds = _answer(channel, prepare(file, order), cpu_seconds)
            except InvalidAudio as error:
                channel.send(Refused(error.message, error.code, memory()))
            else:
                channel.send(Done(seconds, memory()))


def _answer(channel: Channel, events: Iterator[Event], cpu_seconds: float) -> float:
    """Tell each event; returns the seconds that were decoded. Ends early when the service cancels."""
    seconds = 0.0
    renew_cpu_limit(cpu_seconds)
    for event in events:
        if isinstance(event, FeatureChunk):
            place = event.place
            chunk = Chunk(place.offset, place.length, place.voiced, place.speech, event.features.shape[1])
            channel.send(chunk, event.features.tobytes())
        else:
            channel.send(event)
            seconds = event.seconds if isinstance(event, Progress) else seconds
        renew_cpu_limit(cpu_seconds)
        if channel.waiting:
            break
    return seconds


def main(prepare: Callable[[], Prepare], memory_bytes: int, cpu_seconds: float) -> None:
    """Load what `prepare` makes, give up all rights, and serve the socket that is standard input."""
    close_inherited()
    die_with_parent()
    connection = socket.socket(fileno=0)
    loaded = prepare()
    silence = os.open(os.devnull, os.O_WRONLY)
    memory = memory_gauge()
    if not confine(memory_bytes):
        sys.stderr.write("asr-api: no filter of system calls here; a decode worker has its other limits alone\n")
    os.dup2(silence, sys.stderr.fileno())  # up to here, what goes wrong is worth reading
    channel = Channel(connection, plug=silence)
    serve(channel, loaded, memory, cpu_seconds)


if __name__ == "__main__":
    from asr_api.audio.frontend import load_front_end

    main(load_front_end, int(sys.argv[1]), float(sys.argv[2]))
