"""Which wireless interface a test looks at."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net.icmp_socket import interface_index
from fibrewatch_agent.wifi.nl80211 import P2P_CLIENT, STATION, Interface, Nl80211, known

NONE = "no wireless interface"


@contextmanager
def radio(wanted: str | None) -> Iterator[tuple[Nl80211, Interface]]:
    """The interface of that name, else the first station by name, and a socket to ask about it.

    Raises:
        ProbeError: no_interface.
        OSError: A sandbox forbids netlink.
    """
    if not known():
        raise ProbeError("no_interface", _none(wanted if wanted and _exists(wanted) else None))
    if wanted is not None:
        interface_index(wanted)
    try:
        air = Nl80211()
    except FileNotFoundError as e:
        raise ProbeError("no_interface", _none(wanted)) from e
    with air:
        yield air, chosen(air.interfaces(), wanted)


def chosen(interfaces: list[Interface], wanted: str | None) -> Interface:
    """The station to look at; raises ProbeError."""
    stations = [each for each in interfaces if each.kind in (STATION, P2P_CLIENT)]
    for each in stations:
        if wanted in (None, each.name):
            return each
    if any(each.name == wanted for each in interfaces):
        raise ProbeError("no_interface", f"{wanted} is a wireless interface, but no station")
    raise ProbeError("no_interface", _none(wanted))


def _exists(name: str) -> bool:
    return name in (each for _, each in socket.if_nameindex())


def _none(wanted: str | None) -> str:
    return NONE if wanted is None else f"{wanted} is {NONE}"
