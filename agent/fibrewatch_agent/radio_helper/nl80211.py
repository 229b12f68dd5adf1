"""What the radio helper asks of the kernel's nl80211 (linux/nl80211.h): eight requests, all answered at once.

On the netlink sockets that the agent has anyway: the process that holds CAP_NET_ADMIN stays small enough to be read.
"""

import errno
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Literal, NamedTuple

from fibrewatch_agent.net import netlink

Width = Literal[20, 40, 80, 160]

_GENERIC, _CONTROL, _GETFAMILY = 16, 0x10, 3
_FAMILY_ID, _FAMILY_NAME, _GROUPS, _GROUP_NAME, _GROUP_ID = 1, 2, 7, 1, 2
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_ACK, _DUMP = 0x4, 0x300
_HEADER = struct.Struct("=BBH")  # struct genlmsghdr: command, version, reserved
_GET_INTERFACE, _NEW_INTERFACE, _DEL_INTERFACE, _SET_CHANNEL = 5, 7, 8, 65
_TRIGGER_SCAN, _NEW_SCAN_RESULTS, _SCAN_ABORTED, _SET_WIPHY_NETNS, _ABORT_SCAN = 33, 34, 35, 49, 114
_WIPHY, _IFINDEX, _IFNAME, _IFTYPE, _FREQUENCY, _SCAN_FREQUENCIES, _SCAN_SSIDS = 1, 3, 4, 5, 38, 44, 45
_PID, _SCAN_FLAGS, _WIDTH, _CENTER, _SOCKET_OWNER = 82, 158, 159, 160, 204
_MONITOR, _SCAN_FLUSH = 6, 2
_WIDTHS: dict[Width, int] = {20: 1, 40: 2, 80: 3, 160: 5}  # enum nl80211_chan_width; 20 with HT
_NESTED = 0x8000


class Interface(NamedTuple):
    """A wireless interface: its own number and that of its radio (wiphy)."""

    name: str
    number: int
    radio: int


class Nl80211:
    """A socket to nl80211; a monitor interface made on it goes when it is closed, however that comes about."""

    def __init__(self) -> None:
        """Raises OSError: ENOENT where the kernel has no wireless at all."""
        self.sock = netlink.open_socket(_GENERIC)
        try:
            family = _family(self.sock)
            self._number = int.from_bytes(family[_FAMILY_ID], sys.byteorder)
            self._groups = dict(_groups(family.get(_GROUPS, b"")))
        except BaseException:
            self.sock.close()
            raise

    def close(self) -> None:
        """Ends it."""
        self.sock.close()

    def interfaces(self) -> list[Interface]:
        """All of this namespace; those without a network device (P2P) have none of the three and are left out."""
        found = []
        for answer in netlink.ask_on(self.sock, self._number, _DUMP, _HEADER.pack(_GET_INTERFACE, 0, 0)):
            told = netlink.attributes(answer[_HEADER.size :])
            if {_IFNAME, _IFINDEX, _WIPHY} <= told.keys():
                name = told[_IFNAME].rstrip(b"\0").decode("utf-8", "replace")
                found.append(Interface(name, _number(told[_IFINDEX]), _number(told[_WIPHY])))
        return found

    def hear_scans(self) -> None:
        """From now on the kernel's words on scans come to this socket: ask nothing more on it."""
        self.sock.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, self._groups["scan"])

    def scan_word(self, index: int) -> Literal["done", "aborted"] | None:
        """The next of them, when it is the end of a scan of that interface.

        Raises:
            BlockingIOError: There is none.
        """
        data = self.sock.recv(1 << 16)
        command = data[16] if len(data) > 16 else 0
        told = netlink.attributes(data[16 + _HEADER.size :])
        if command not in (_NEW_SCAN_RESULTS, _SCAN_ABORTED) or _number(told.get(_IFINDEX, b"\0\0\0\0")) != index:
            return None
        return "done" if command == _NEW_SCAN_RESULTS else "aborted"

    def trigger_scan(self, index: int, ssids: Sequence[bytes], frequencies: Sequence[int], *, flush: bool) -> None:
        """Begins a scan; without SSIDs a passive one, an empty SSID asks all.

        Raises:
            OSError: EBUSY while another one is under way, ENETDOWN.
        """
        body = _attribute(_IFINDEX, _word(index))
        if ssids:
            body += _attribute(_SCAN_SSIDS | _NESTED, b"".join(_attribute(i, each) for i, each in enumerate(ssids, 1)))
        if frequencies:
            each = b"".join(_attribute(i, _word(frequency)) for i, frequency in enumerate(frequencies))
            body += _attribute(_SCAN_FREQUENCIES | _NESTED, each)
        if flush:
            body += _attribute(_SCAN_FLAGS, _word(_SCAN_FLUSH))
        self._do(_TRIGGER_SCAN, body)

    def abort_scan(self, index: int) -> None:
        """Ends a scan that is under way, if the driver can."""
        self._do(_ABORT_SCAN, _attribute(_IFINDEX, _word(index)))

    def make_monitor(self, radio: int, name: str) -> None:
        """A monitor interface, which the kernel removes when this socket is closed."""
        body = _attribute(_WIPHY, _word(radio)) + _attribute(_IFNAME, name.encode() + b"\0")
        self._do(_NEW_INTERFACE, body + _attribute(_IFTYPE, _word(_MONITOR)) + _attribute(_SOCKET_OWNER, b""))

    def remove(self, index: int) -> None:
        """Removes an interface."""
        self._do(_DEL_INTERFACE, _attribute(_IFINDEX, _word(index)))

    def set_channel(self, index: int, frequency: int, width: Width, center: int) -> None:
        """Of a monitor interface.

        Raises:
            OSError: EBUSY where another interface of the radio holds another channel; EINVAL, the radio has none such.
        """
        body = _attribute(_IFINDEX, _word(index)) + _attribute(_FREQUENCY, _word(frequency))
        self._do(_SET_CHANNEL, body + _attribute(_WIDTH, _word(_WIDTHS[width])) + _attribute(_CENTER, _word(center)))

    def move(self, radio: int, pid: int) -> None:
        """Puts a radio with all its interfaces into the network namespace of a process.

        When that namespace ends the kernel puts it back into the first one.

        Raises:
            OSError: EOPNOTSUPP, its driver can't.
        """
        self._do(_SET_WIPHY_NETNS, _attribute(_WIPHY, _word(radio)) + _attribute(_PID, _word(pid)))

    def _do(self, command: int, body: bytes) -> None:
        """Raises OSError: what the kernel says instead of an acknowledgement."""
        try:
            for _ in netlink.ask_on(self.sock, self._number, _ACK, _HEADER.pack(command, 0, 0) + body):
                pass
        except OSError as e:
            if e.errno:  # an acknowledgement is the error 0
                raise


@contextmanager
def nl80211() -> Iterator[Nl80211]:
    """A socket for some questions."""
    with closing(Nl80211()) as opened:
        yield opened


def interfaces() -> list[Interface]:
    """The wireless interfaces of this namespace; none where the kernel has no wireless."""
    try:
        with nl80211() as asked:
            return asked.interfaces()
    except OSError as e:
        if e.errno != errno.ENOENT:
            raise
        return []


def _family(sock: socket.socket) -> dict[int, bytes]:
    question = _HEADER.pack(_GETFAMILY, 1, 0) + _attribute(_FAMILY_NAME, b"nl80211\0")
    answer = next(netlink.ask_on(sock, _CONTROL, 0, question))
    return netlink.attributes(answer[_HEADER.size :])


def _groups(data: bytes) -> Iterator[tuple[str, int]]:
    for each in netlink.attributes(data).values():
        told = netlink.attributes(each)
        yield told[_GROUP_NAME].rstrip(b"\0").decode(), _number(told[_GROUP_ID])


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _word(value: int) -> bytes:
    return struct.pack("=I", value)


def _number(value: bytes) -> int:
    return int.from_bytes(value[:4], sys.byteorder)
