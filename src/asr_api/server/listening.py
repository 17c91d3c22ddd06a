"""The addresses that are listened on."""

import os
import socket

from asr_api.errors import StartupError

BACKLOG = 2048
"""Connections that wait to be accepted; the kernel's own bound (`net.core.somaxconn`) may be lower."""


class PortUnavailable(StartupError):
    """The address cannot be listened on."""

    exit_code = 3


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A listening socket. Raises PortUnavailable with one sentence that names the address and the option."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PortUnavailable(
            f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0).lower()}; "
            f"stop what uses it, or choose another with {option}"
        ) from error


def limit_stalls(listener: socket.socket, seconds: float) -> None:
    """Have the kernel end each connection from here whose client takes nothing of what it holds for so long.

    Otherwise a client that is there, and does not read, may leave some megabytes in the kernel for ever
    (tcp(7), TCP_USER_TIMEOUT; Linux alone has it). The connection ends with ETIMEDOUT.
    """
    if option := getattr(socket, "TCP_USER_TIMEOUT", None):
        listener.setsockopt(socket.IPPROTO_TCP, option, round(1000 * seconds))


def url_of(host: str, port: int) -> str:
    """The address as a client on this machine writes it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"
