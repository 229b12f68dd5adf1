"""What the radio helper has the kernel do to radios: six orders of nl80211 (linux/nl80211.h), answered at once."""

import errno
from collections.abc import Sequence
from typing import Literal

from fibrewatch_agent.net.netlink import attribute, attributes, messages
from fibrewatch_agent.wifi.nl80211 import (
    A_CENTRE1,
    A_FREQUENCY,
    A_IFINDEX,
    A_IFNAME,
    A_IFTYPE,
    A_WIDTH,
    A_WIPHY,
    HEADER,
    Interface,
    Nl80211,
    known,
    number,
    unsigned,
)

Width = Literal[20, 40, 80, 160]

_NEW_INTERFACE, _DEL_INTERFACE, _SET_CHANNEL = 7, 8, 65
_TRIGGER_SCAN, _NEW_SCAN_RESULTS, _SCAN_ABORTED, _SET_WIPHY_NETNS, _ABORT_SCAN = 33, 34, 35, 49, 114
_SCAN_FREQUENCIES, _SCAN_SSIDS, _PID, _SCAN_FLAGS, _SOCKET_OWNER = 44, 45, 82, 158, 204
_MONITOR, _SCAN_FLUSH, _NESTED = 6, 2, 0x8000
_WIDTHS: dict[Width, int] = {20: 1, 40: 2, 80: 3, 160: 5}  # enum nl80211_chan_width; 20 with HT


def interfaces() -> list[Interface]:
    """The wireless interfaces of this namespace; none where the kernel has no wireless."""
    if not known():
        return []
    try:
        with Nl80211() as air:
            return air.interfaces()
    except FileNotFoundError:
        return []


def trigger_scan(air: Nl80211, index: int, ssids: Sequence[bytes], frequencies: Sequence[int], *, flush: bool) -> None:
    """Begins a scan; without SSIDs a passive one, an empty SSID asks all.

    Raises:
        OSError: EBUSY while another one is under way, ENETDOWN.
    """
    given = [attribute(A_IFINDEX, number(index))]
    if ssids:
        given.append(_list(_SCAN_SSIDS, ssids))
    if frequencies:
        given.append(_list(_SCAN_FREQUENCIES, [number(each) for each in frequencies]))
    if flush:
        given.append(attribute(_SCAN_FLAGS, number(_SCAN_FLUSH)))
    air.order(_TRIGGER_SCAN, *given)


def abort_scan(air: Nl80211, index: int) -> None:
    """Ends a scan that is under way, if the driver can."""
    air.order(_ABORT_SCAN, attribute(A_IFINDEX, number(index)))


def scan_word(heard: Nl80211, index: int) -> Literal["done", "aborted"] | None:
    """The next word on a socket that has joined `scan`, when it is the end of a scan of that interface.

    Raises:
        BlockingIOError: There is none.
    """
    try:
        data = heard.sock.recv(1 << 18)
    except OSError as e:
        if e.errno != errno.ENOBUFS:
            raise
        return "aborted"  # words were lost, the end perhaps among them: what was found is not known to be all
    for body, _, _ in messages(data):
        command, told = body[0] if body else 0, attributes(body[HEADER.size :])
        if command in (_NEW_SCAN_RESULTS, _SCAN_ABORTED) and unsigned(told.get(A_IFINDEX)) == index:
            return "done" if command == _NEW_SCAN_RESULTS else "aborted"
    return None


def make_monitor(air: Nl80211, radio: int, name: str) -> None:
    """A monitor interface, which the kernel removes when this socket is closed."""
    named = attribute(A_WIPHY, number(radio)), attribute(A_IFNAME, name.encode() + b"\0")
    air.order(_NEW_INTERFACE, *named, attribute(A_IFTYPE, number(_MONITOR)), attribute(_SOCKET_OWNER, b""))


def remove(air: Nl80211, index: int) -> None:
    """Removes an interface."""
    air.order(_DEL_INTERFACE, attribute(A_IFINDEX, number(index)))


def set_channel(air: Nl80211, index: int, frequency: int, width: Width, center: int) -> None:
    """Of a monitor interface.

    Raises:
        OSError: EBUSY where another interface of the radio holds another channel; EINVAL, the radio has none such.
    """
    told = {A_IFINDEX: index, A_FREQUENCY: frequency, A_WIDTH: _WIDTHS[width], A_CENTRE1: center}
    air.order(_SET_CHANNEL, *(attribute(kind, number(value)) for kind, value in told.items()))


def move(air: Nl80211, radio: int, pid: int) -> None:
    """Puts a radio with all its interfaces into the network namespace of a process.

    When that namespace ends the kernel puts it back into the first one.

    Raises:
        OSError: EOPNOTSUPP, its driver can't.
    """
    air.order(_SET_WIPHY_NETNS, attribute(A_WIPHY, number(radio)), attribute(_PID, number(pid)))


def _list(kind: int, values: Sequence[bytes]) -> bytes:
    return attribute(kind | _NESTED, b"".join(attribute(place, each) for place, each in enumerate(values, 1)))
