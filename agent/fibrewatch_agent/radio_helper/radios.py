"""Which radio a request is about, whether it may be touched, and one operation at a time on each."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net import netlink
from fibrewatch_agent.radio_helper import orders
from fibrewatch_agent.wifi.nl80211 import Interface

_PATIENCE_S = 15.0


class Radios:
    """The turns on each radio."""

    def __init__(self) -> None:
        self._turns: dict[int, asyncio.Lock] = {}
        self._seen: dict[str, int] = {}

    @contextlib.asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Interface]:
        """The radio of an interface for oneself; who comes while it is out of this namespace waits for it.

        Raises:
            ProbeError: busy, others have it for too long; no_interface.
        """
        radio = self._seen.setdefault(name, -1)
        if radio not in self._turns or not self._turns[radio].locked():
            radio = self._seen[name] = find(name).wiphy
        lock = self._turns.setdefault(radio, asyncio.Lock())
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await lock.acquire()
        except TimeoutError as e:
            raise ProbeError("busy", f"another request uses the radio of {name}") from e
        try:
            yield find(name)
        finally:
            lock.release()


def find(name: str) -> Interface:
    """A wireless interface by its name.

    Raises:
        ProbeError: no_interface.
    """
    known = orders.interfaces()
    if not known:
        raise ProbeError("no_interface", "no wireless interface")
    for each in known:
        if each.name == name:
            return each
    raise ProbeError("no_interface", f"no wireless interface {name}: there is {', '.join(each.name for each in known)}")


def spare(interface: Interface) -> None:
    """Refuses a radio that carries the box's own uplink: the box would lose its line.

    Raises:
        ProbeError: denied.
    """
    uplinks = netlink.default_interfaces()
    for each in orders.interfaces():
        if each.wiphy == interface.wiphy and each.ifindex in uplinks:
            what = f"{each.name} carries the box's own uplink (it has a default route)"
            raise ProbeError("denied", f"{what}: this needs a second radio")


def index_of(name: str) -> int | None:
    """The kernel's number of an interface; None where there is none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None
