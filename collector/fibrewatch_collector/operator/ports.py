"""Loopback ports that nobody listens on."""

import asyncio
import secrets
import socket
from contextlib import ExitStack

from fibrewatch.errors import ToolError

CONNECT_TIMEOUT_S = 1.0
_TRIES = 200
# Below the range that the kernel takes the client's end of connections from (ip(7), ip_local_port_range: 32768 and up):
# one above it that was free may be taken by a connection before its server starts.
_FIRST, _LAST = 10_000, 32_000


def can_listen(port: int, host: str = "127.0.0.1") -> bool:
    """Whether this TCP port is free; port 0 asks whether the address is there at all."""
    try:
        _listening(host, port).close()
    except OSError:
        return False
    return True


def free_ports(count: int) -> tuple[int, ...]:
    """Consecutive free TCP ports on loopback.

    Raises:
        ToolError: None were found.
    """
    for _ in range(_TRIES):
        first = _FIRST + secrets.randbelow(_LAST - _FIRST)
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(_listening("127.0.0.1", port))
            except OSError:
                continue
            return tuple(range(first, first + count))
    raise ToolError(f"no {count} free ports in a row on 127.0.0.1")


def _listening(host: str, port: int) -> socket.socket:
    """SO_REUSEADDR: what lingers in TIME_WAIT does not count (ip(7))."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except BaseException:
        made.close()
        raise
    return made


async def listens(port: int) -> bool:
    """Whether a connection to the port on 127.0.0.1 is accepted."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
