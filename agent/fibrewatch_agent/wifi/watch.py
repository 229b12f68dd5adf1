"""Listens between runs to what the kernel tells of one interface's link: nl80211's events, and its operational state.

The state (RFC 2863, rtnetlink) is where the keys' agreement shows: a supplicant says "up" once data can pass.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import struct
import time
import weakref
from collections.abc import Callable

from fibrewatch.results.wifi_link import EventKind, Side
from fibrewatch_agent.net.netlink import SOL_NETLINK, ask_on, attributes, mac_text, messages, open_socket
from fibrewatch_agent.wifi import nl80211
from fibrewatch_agent.wifi.nl80211 import HEADER, Interface, Nl80211, unsigned
from fibrewatch_agent.wifi.station import frame_reason
from fibrewatch_agent.wifi.tally import Event, Tally

log = logging.getLogger(__name__)

_ADD_MEMBERSHIP = 1
_RTNLGRP_LINK, _NEWLINK, _DELLINK, _GETLINK = 1, 16, 17, 18
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_OPERSTATE, _UP = 16, 6  # IFLA_OPERSTATE, IF_OPER_UP
_CONNECT, _ROAM, _DISCONNECT, _NOTIFY_CQM = 46, 47, 48, 64
_FRAMES: dict[int, EventKind] = {39: "deauthenticated", 40: "disassociated"}
_BEACON_LOSS = 8  # NL80211_ATTR_CQM_BEACON_LOSS_EVENT


class Watch:
    """Hears until it is dropped.

    Attributes:
        gone: The interface was removed: its number won't come back.
    """

    def __init__(self, interface: Interface, groups: dict[str, int], tally: Tally, bssid: str | None) -> None:
        """Must run in the event loop; raises OSError."""
        self.interface, self.tally, self.gone = interface, tally, False
        loop = asyncio.get_running_loop()
        self._radio, self._links = open_socket(nl80211.NETLINK_GENERIC), open_socket(socket.NETLINK_ROUTE)
        weakref.finalize(self, _close, loop, self._radio, self._links)
        for sock, group in ((self._radio, groups["mlme"]), (self._links, _RTNLGRP_LINK)):
            sock.bind((0, 0))  # what has no number of its own hears nothing that the kernel tells all
            sock.setsockopt(SOL_NETLINK, _ADD_MEMBERSHIP, group)
        tally.sees(time.monotonic(), bssid, interface.ssid, up=operating(interface.ifindex))
        loop.add_reader(self._radio.fileno(), _weak(self, Watch.hear_radio))
        loop.add_reader(self._links.fileno(), _weak(self, Watch.hear_links))

    def hear(self) -> None:
        """All that waits."""
        self.hear_radio()
        self.hear_links()

    def hear_radio(self) -> None:
        """nl80211's events."""
        for body in self._received(self._radio):
            told = attributes(body[HEADER.size :])
            if unsigned(told.get(nl80211.A_IFINDEX)) == self.interface.ifindex:
                for event in events(HEADER.unpack_from(body)[0], told, time.monotonic()):
                    self.tally.hear(event, self._ssid() if event.kind in ("connected", "roamed") else None)

    def hear_links(self) -> None:
        """The operational state's changes."""
        for body in self._received(self._links):
            if len(body) < _LINK.size or _LINK.unpack_from(body)[2] != self.interface.ifindex:
                continue
            if (state := unsigned(attributes(body[_LINK.size :]).get(_OPERSTATE))) is not None:
                self.tally.operate(time.monotonic(), up=state == _UP)

    def _received(self, sock: socket.socket) -> list[bytes]:
        found: list[bytes] = []
        while True:
            try:
                data = sock.recv(1 << 16)
            except BlockingIOError:
                return found
            except OSError as e:
                if e.errno != errno.ENOBUFS:
                    raise
                log.debug("events were lost interface=%s", self.interface.name)
                self.tally.missed()
                continue
            for body, kind, _ in messages(data):
                found.append(body)
                if sock is self._links and kind == _DELLINK:
                    self._lost(body)

    def _lost(self, body: bytes) -> None:
        """An interface was removed; a bridge's message, which lets go of one, is of its own family."""
        family, _, index, *_ = _LINK.unpack_from(body)
        self.gone = self.gone or (family == socket.AF_UNSPEC and index == self.interface.ifindex)

    def _ssid(self) -> bytes | None:
        with contextlib.suppress(OSError), Nl80211() as air:
            return next((each.ssid for each in air.interfaces() if each.ifindex == self.interface.ifindex), None)
        return None


def operating(index: int) -> bool:
    """Whether an interface can carry data: its operational state is up; raises OSError."""
    with open_socket(socket.NETLINK_ROUTE) as sock:
        answer = next(ask_on(sock, _GETLINK, 0, _LINK.pack(0, 0, index, 0, 0)))
    return unsigned(attributes(answer[_LINK.size :]).get(_OPERSTATE)) == _UP


def events(command: int, told: nl80211.Attributes, at: float) -> list[Event]:
    """What one message of nl80211 means for a link; nothing for those that don't matter."""
    mac = mac_text(told[nl80211.A_MAC]) if len(told.get(nl80211.A_MAC, b"")) == 6 else None
    found: list[Event] = []
    if command in _FRAMES:
        if (frame := frame_reason(told.get(nl80211.A_FRAME, b""))) is not None:
            bssid, by_ap, reason = frame
            found.append(Event(_FRAMES[command], at, mac_text(bssid), "ap" if by_ap else "box", reason))
    elif command == _CONNECT:
        if not unsigned(told.get(nl80211.A_STATUS)) and nl80211.A_TIMED_OUT not in told:
            found.append(Event("connected", at, mac))
    elif command == _ROAM:
        found.append(Event("roamed", at, mac))
    elif command == _DISCONNECT:
        side: Side = "ap" if nl80211.A_BY_AP in told else "box"
        found.append(Event("disconnected", at, mac, side, unsigned(told.get(nl80211.A_REASON))))
    elif command == _NOTIFY_CQM and _BEACON_LOSS in attributes(told.get(nl80211.A_CQM, b"")):
        found.append(Event("beacon_loss", at))
    return found


def _weak(watch: Watch, hear: Callable[[Watch], None]) -> Callable[[], None]:
    """The loop must not keep alive what nobody else wants."""
    held = weakref.ref(watch)

    def ready() -> None:
        if (heard := held()) is not None:
            hear(heard)

    return ready


def _close(loop: asyncio.AbstractEventLoop, *sockets: socket.socket) -> None:
    for sock in sockets:
        if not loop.is_closed():
            loop.remove_reader(sock.fileno())
        sock.close()
