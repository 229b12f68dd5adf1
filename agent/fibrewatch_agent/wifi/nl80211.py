"""nl80211 over generic netlink: questions, and orders that need CAP_NET_ADMIN, which the radio helper alone has.

The kernel answers while it takes the question, so nothing here waits. Numbers: linux/nl80211.h, linux/genetlink.h.
"""

import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fibrewatch_agent.net.netlink import SOL_NETLINK, ask_on, attribute, attributes, open_socket

NETLINK_GENERIC = 16
_CONTROL, _GETFAMILY = 16, 3  # GENL_ID_CTRL
_FAMILY_ID, _FAMILY_NAME, _GROUPS, _GROUP_NAME, _GROUP_ID = 1, 2, 7, 1, 2
_ACK, _DUMP, _ADD_MEMBERSHIP = 0x4, 0x300, 1
HEADER = struct.Struct("=BBH")  # struct genlmsghdr: command, version, reserved

GET_INTERFACE, GET_STATION, GET_REG, GET_SCAN, GET_SURVEY = 5, 17, 31, 32, 50
A_WIPHY, A_IFINDEX, A_IFNAME, A_IFTYPE, A_MAC, A_STA_INFO, A_REG_ALPHA2 = 1, 3, 4, 5, 6, 21, 33
A_FREQUENCY, A_BSS, A_FRAME, A_SSID, A_REASON, A_BY_AP, A_STATUS, A_SURVEY = 38, 47, 51, 52, 54, 71, 72, 84
A_CQM, A_WIDTH, A_CENTRE1, A_TIMED_OUT = 94, 159, 160, 65
STATION, P2P_CLIENT = 2, 8  # enum nl80211_iftype
_WIDTHS_MHZ = {0: 20, 1: 20, 2: 40, 3: 80, 4: 160, 5: 160, 6: 5, 7: 10, 13: 320}  # enum nl80211_chan_width

Attributes = dict[int, bytes]


class Interface(NamedTuple):
    """A wireless interface.

    Attributes:
        kind: enum nl80211_iftype.
        frequency: Of the primary channel, MHz; None while it has no channel, as width and centre.
    """

    ifindex: int
    name: str
    kind: int
    wiphy: int
    ssid: bytes | None = None
    frequency: int | None = None
    width: int | None = None
    centre: int | None = None


class Nl80211:
    """A socket to ask by; a context manager. What is made on it as its own goes with it, however it is closed.

    Attributes:
        groups: The family's multicast groups by name.
    """

    def __init__(self) -> None:
        """Raises OSError: the kernel has no nl80211 (FileNotFoundError), or a sandbox forbids netlink."""
        self.sock = open_socket(NETLINK_GENERIC)
        try:
            self.family, self.groups = _family(self.sock)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> "Nl80211":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def ask(self, command: int, *given: bytes, dump: bool = False) -> Iterator[Attributes]:
        """The answers' attributes; take them all before the next question.

        Raises:
            OSError: What the kernel says instead.
        """
        question = HEADER.pack(command, 0, 0) + b"".join(given)
        for answer in ask_on(self.sock, self.family, _DUMP if dump else 0, question):
            yield attributes(answer[HEADER.size :])

    def order(self, command: int, *given: bytes) -> None:
        """Has something done.

        Raises:
            OSError: What the kernel says instead of an acknowledgement.
        """
        try:
            for _ in ask_on(self.sock, self.family, _ACK, HEADER.pack(command, 0, 0) + b"".join(given)):
                pass
        except OSError as e:
            if e.errno:  # an acknowledgement is the error 0
                raise

    def join(self, group: str) -> None:
        """From now on the kernel's words to a multicast group come to this socket: ask nothing more on it."""
        self.sock.setsockopt(SOL_NETLINK, _ADD_MEMBERSHIP, self.groups[group])

    def of_interface(self, command: int, index: int) -> list[Attributes]:
        """A dump about one interface."""
        return list(self.ask(command, attribute(A_IFINDEX, number(index)), dump=True))

    def interfaces(self) -> list[Interface]:
        """All of this namespace, by name; the nameless ones (of P2P) left out."""
        named = (told for told in self.ask(GET_INTERFACE, dump=True) if {A_IFNAME, A_IFINDEX} <= told.keys())
        return sorted((_interface(told) for told in named), key=lambda each: each.name)

    def country(self, wiphy: int) -> str | None:
        """The regulatory domain that a radio is under."""
        answers = list(self.ask(GET_REG, attribute(A_WIPHY, number(wiphy))))
        code = answers[0].get(A_REG_ALPHA2, b"").rstrip(b"\0").decode("ascii", "replace") if answers else ""
        return code if len(code) == 2 and code.isalnum() else None


def known() -> bool:
    """Whether the kernel has nl80211 loaded; asking it by netlink would have it look for a module each time."""
    return Path("/sys/class/ieee80211").exists()


def number(value: int) -> bytes:
    """A number of 32 bits as an attribute's value."""
    return struct.pack("=I", value)


def unsigned(value: bytes | None) -> int | None:
    """An attribute's value of one to eight bytes, in the host's order; None stays None."""
    if not value or len(value) > 8:
        return None
    return int.from_bytes(value, sys.byteorder)


def signed(value: bytes | None) -> int | None:
    """As `unsigned`, with a sign."""
    if not value or len(value) > 8:
        return None
    return int.from_bytes(value, sys.byteorder, signed=True)


def _family(sock: socket.socket) -> tuple[int, dict[str, int]]:
    question = HEADER.pack(_GETFAMILY, 1, 0) + attribute(_FAMILY_NAME, b"nl80211\0")
    told = attributes(next(ask_on(sock, _CONTROL, 0, question))[HEADER.size :])
    groups = (attributes(each) for each in attributes(told.get(_GROUPS, b"")).values())
    names = {each[_GROUP_NAME].rstrip(b"\0").decode("ascii"): unsigned(each[_GROUP_ID]) or 0 for each in groups}
    return unsigned(told[_FAMILY_ID]) or 0, names


def _interface(told: Attributes) -> Interface:
    width = unsigned(told.get(A_WIDTH))
    return Interface(
        ifindex=unsigned(told[A_IFINDEX]) or 0,
        name=told[A_IFNAME].rstrip(b"\0").decode("utf-8", "replace"),
        kind=unsigned(told.get(A_IFTYPE)) or 0,
        wiphy=unsigned(told.get(A_WIPHY)) or 0,
        ssid=told.get(A_SSID),
        frequency=unsigned(told.get(A_FREQUENCY)),
        width=_WIDTHS_MHZ.get(width) if width is not None else None,
        centre=unsigned(told.get(A_CENTRE1)),
    )
