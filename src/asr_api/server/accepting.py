"""Accepting connections: within a number, through a want of descriptors, and to the last one when the port closes."""

import asyncio
import contextlib
import ctypes
import errno
import logging
import socket
import struct
import sys
from collections.abc import Callable

from asr_api.server.connections import Connections

logger = logging.getLogger(__name__)

AT_ONCE = 16
"""Connections that are accepted before the loop does something else."""

RETRY = 0.1
"""Seconds after which a process without a free descriptor, or memory, tries again."""

HANDSHAKE = 0.1
"""Seconds in which a connection that a client has begun to open is open: longer than most ways across the world."""

_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SO_ATTACH_FILTER = 26
_DROP_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
"""Classic BPF over a TCP header: load the flags, test SYN, drop the packet where it is set, else keep it."""


class Acceptor:
    """Hands what a listening socket accepts to protocols, which tell `connections` of themselves; owns the socket.

    A loop's own server will not do: uvloop's is closed by the first EMFILE, and what its backlog
    holds when any of them is closed is reset.
    """

    def __init__(
        self, listener: socket.socket, connections: Connections, protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._listener = listener
        self._connections = connections
        self._protocol = protocol
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._accepting = False

    def start(self) -> None:
        """Accept from now on. Call on the loop."""
        self._listener.setblocking(False)
        self._accepting = True
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    async def close(self) -> None:
        """Accept all who came before, and close the port: who comes later is refused, and nobody is reset."""
        if not self._accepting:
            self._listener.close()
            return
        self._accepting = False
        hold_back(self._listener)
        await asyncio.sleep(HANDSHAKE)
        if self._retry is not None:
            self._retry.cancel()
        asyncio.get_running_loop().remove_reader(self._listener)
        while self._accept_one():
            pass
        self._listener.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            if not self._accept_one():
                return

    def _accept_one(self) -> bool:
        """False where nobody waits, or nothing can be done for who does."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            if error.errno not in _SCARCE:
                return True  # this one is gone already (accept(2)); the next may not be
            self._wait(error)
            return False
        if self._connections.make_room():
            self._open(connection)
        else:
            connection.close()
        return True

    def _open(self, connection: socket.socket) -> None:
        task = asyncio.create_task(self._connect(connection), name="connect")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()
            self._connections.failed()

    def _wait(self, error: OSError) -> None:
        """Leave who waits in the backlog for a while, for there is nothing to accept them with."""
        loop = asyncio.get_running_loop()
        self._connections.let_go()
        if not self._accepting or self._retry is not None:
            return
        logger.warning("no connections can be accepted now", extra={"error": error.strerror})
        loop.remove_reader(self._listener)
        self._retry = loop.call_later(RETRY, self._resume)

    def _resume(self) -> None:
        self._retry = None
        asyncio.get_running_loop().add_reader(self._listener, self._accept)


def hold_back(listener: socket.socket) -> None:
    """Let no more connections begin to be opened, and those that have begun be, where the system can.

    On Linux by a filter on the listening socket (socket(7), SO_ATTACH_FILTER): the client's kernel
    asks again a second later, and is refused then.
    """
    if not sys.platform.startswith("linux"):
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN))
    with contextlib.suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(_DROP_SYN), ctypes.addressof(program))
        )
