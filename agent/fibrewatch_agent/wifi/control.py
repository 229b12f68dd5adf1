"""wpa_supplicant's control interface: commands, and events with the kernel's stamp of each.

Source: wpa_supplicant/ctrl_iface.h and its documentation "Control interface" (w1.fi), version 2.10: UNIX datagrams, one
socket for commands and their replies, another for events, which begin with their level in angle brackets.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net import stamps
from fibrewatch_agent.net.sockets import readable
from fibrewatch_agent.wifi.joining import Event

_REPLY_S, _LARGEST = 5.0, 16384


class Control:
    """wpa_supplicant as it runs on one interface."""

    def __init__(self, commands: socket.socket, events: socket.socket) -> None:
        self._commands, self._events = commands, events

    async def ask(self, command: str) -> str:
        """The reply.

        Raises:
            ProbeError: tool_failed, it answers FAIL or nothing; the command is not repeated: it may hold a secret.
        """
        what = " ".join(command.split(" ", 3)[:3]) if command.startswith("SET_NETWORK") else command
        try:
            async with asyncio.timeout(_REPLY_S):
                self._commands.send(command.encode())
                await readable(self._commands)
                reply = self._commands.recv(_LARGEST).decode("utf-8", "replace")
        except OSError as e:  # a timeout is one as well
            raise ProbeError("tool_failed", f"wpa_supplicant does not answer {what}") from e
        if reply.startswith(("FAIL", "UNKNOWN COMMAND")):
            raise ProbeError("tool_failed", f"wpa_supplicant refuses {what}")
        return reply

    async def set_network(self, number: str, field: str, value: str) -> None:
        """One variable of a network; strings are quoted or in hexadecimal, see `text`."""
        await self.ask(f"SET_NETWORK {number} {field} {value}")

    async def event(self) -> Event:
        """The next one; the caller sets the deadline."""
        while True:
            if (event := self.event_now()) is not None:
                return event
            await readable(self._events)

    def event_now(self) -> Event | None:
        """One that was said already."""
        while True:
            try:
                data, control, _, _ = self._events.recvmsg(_LARGEST, stamps.CONTROL_BYTES)
            except BlockingIOError:
                return None
            text = data.decode("utf-8", "replace")
            if text.startswith("<") and text[2:3] == ">":
                return Event(_said_at(stamps.received_at(control)), text[3:])


def _said_at(stamp_ns: int | None) -> float:
    """A stamp of the wall clock on the monotonic one."""
    now = time.monotonic()
    return now if stamp_ns is None else now - max(0, time.time_ns() - stamp_ns) / 1e9


def text(value: str) -> str:
    """A string as a network's variable takes it whatever is in it: hexadecimal, unquoted."""
    return value.encode().hex()


@contextlib.asynccontextmanager
async def attached(path: Path, folder: Path) -> AsyncIterator[Control]:
    """The control interface at `path`, its events subscribed to; the caller sets the deadline.

    Args:
        folder: Ours alone, for our ends of the sockets.
    """
    with contextlib.ExitStack() as opened:
        commands, events = (opened.enter_context(_connected(path, folder / name)) for name in ("commands", "events"))
        events.setsockopt(socket.SOL_SOCKET, stamps.SO_TIMESTAMPNS_NEW, 1)
        await Control(events, events).ask("ATTACH")
        yield Control(commands, events)


def _connected(path: Path, own: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind(str(own))
        sock.connect(str(path))
    except BaseException:
        sock.close()
        raise
    return sock
