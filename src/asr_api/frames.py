"""Messages over a socket between two processes of the service: their length, then their bytes."""

import asyncio
import contextlib
import socket
import struct

LENGTH = struct.Struct("!I")
"""The bytes of a message, in network order."""


class FrameError(ConnectionError):
    """What came over the socket is no message: the other end is not what it should be."""


def framed(body: bytes) -> bytes:
    """A message as it is sent."""
    return LENGTH.pack(len(body)) + body


def receive(connection: socket.socket) -> bytes:
    """Wait for the next message. Raises EOFError where there will be none."""
    (size,) = LENGTH.unpack(exactly(connection, LENGTH.size))
    return exactly(connection, size)


def exactly(connection: socket.socket, size: int) -> bytes:
    """Wait for so many bytes. Raises EOFError where there will be fewer."""
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return bytes(buffer)


async def exactly_async(connection: socket.socket, size: int) -> bytearray:
    """The same for an event loop. Raises OSError where there will be fewer, or this end was closed meanwhile."""
    loop, buffer = asyncio.get_running_loop(), bytearray(size)
    view = memoryview(buffer)
    while view:
        if connection.fileno() < 0:  # of which uvloop would make a ValueError
            raise ConnectionResetError("the socket was closed")
        count = await loop.sock_recv_into(connection, view)
        if not count:
            raise ConnectionResetError("the other end closed the socket")
        view = view[count:]
    return buffer


class FrameSocket:
    """Messages for an event loop. `most` is the length of a message at most, in bytes."""

    def __init__(self, connection: socket.socket, most: int) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._most = most
        self._loop = asyncio.get_running_loop()

    async def send(self, body: bytes) -> None:
        """Raises OSError where nobody is at the other end."""
        await self._loop.sock_sendall(self._connection, framed(body))

    def send_descriptors(self, descriptors: list[int]) -> None:
        """Let the other end have open files, with one byte. Raises OSError."""
        socket.send_fds(self._connection, [b"D"], descriptors)

    async def receive(self) -> bytearray:
        """The next message. Raises OSError where there will be none, or where what came is no message."""
        (size,) = LENGTH.unpack(await exactly_async(self._connection, LENGTH.size))
        if size > self._most:
            raise FrameError(f"a message of {size} bytes was announced; {self._most} are allowed")
        return await exactly_async(self._connection, size)

    def shut(self) -> None:
        """Tell both ends that no more will come: whoever waits at this one hears of it, as `close` never lets him."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the descriptor. Nobody may wait at this end any more."""
        self._connection.close()
