"""The DHCP exchange itself, in a process of its own that ends with it: `main(ORDER)` prints an Outcome.

A packet(7) socket, since a client without an address has no other way to speak. The box's own lease is not touched: its
client has another hardware address and identifier, and listens for another transaction.
"""

import asyncio
import ctypes
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from fibrewatch.results.dhcp import Offer
from fibrewatch_agent.dhcp import packets as dhcp_packets
from fibrewatch_agent.dhcp.order import Order, Outcome
from fibrewatch_agent.dhcp.packets import Client, Message
from fibrewatch_agent.net import stamps
from fibrewatch_agent.net.netlink import mac_text
from fibrewatch_agent.net.packet_channel import Packet, clocks, round_trip
from fibrewatch_agent.net.sockets import probe_error

_ETH_P_IP, _ARPHRD_ETHER, _EVERYBODY = 0x0800, 1, b"\xff" * 6
_RESEND_S = 4.0  # RFC 2131 §4.1
_MOST_OFFERS = 16
_SO_ATTACH_FILTER = 26
_TO_A_CLIENT = (  # UDP, no later fragment, port 68; the other packets of the link never wake this process
    (0x30, 0, 0, 9),  # ldb [9]
    (0x15, 0, 6, socket.IPPROTO_UDP),  # jeq
    (0x28, 0, 0, 6),  # ldh [6]
    (0x45, 4, 0, 0x1FFF),  # jset
    (0xB1, 0, 0, 0),  # ldxb 4 * ([0] & 0xf)
    (0x48, 0, 0, 2),  # ldh [x + 2]
    (0x15, 0, 1, 68),  # jeq
    (0x06, 0, 0, 0x40000),  # accept
    (0x06, 0, 0, 0),  # drop
)


_Server = tuple[str, bytes | None]
"""Its identifier, and its hardware address unless a relay's is all that is seen."""


class Heard(NamedTuple):
    """A server's message, and when it came.

    Attributes:
        mac: Where it came from on the link.
        took_s: Since the packet that it answers.
    """

    message: Message
    mac: bytes
    took_s: float


class Exchange:
    """One client on one link."""

    def __init__(self, sock: socket.socket, order: Order) -> None:
        self._sock, self._interface, self._mac = sock, order.interface, bytes.fromhex(order.client)
        self.stamps = stamps.enable(sock)
        self._sent: dict[int, Packet] = {}
        self._by_key: list[Packet] = []

    def client(self) -> Client:
        """The client with a new transaction."""
        return Client(self._mac, int.from_bytes(os.urandom(4), "big"))

    def send(self, data: bytes, client: Client, mac: bytes = _EVERYBODY) -> None:
        """Sends a packet that begins a transaction, or ends it."""
        packet = Packet(client.xid, "", *clocks())
        self._sock.sendto(data, (self._interface, _ETH_P_IP, 0, _ARPHRD_ETHER, mac))
        self._sent[client.xid] = packet
        self._by_key.append(packet)

    def since_first_s(self) -> float:
        """Since the first packet was sent."""
        return (time.monotonic_ns() - self._by_key[0].sent_mono_ns) / 1e9

    def hear(self, until: float) -> Iterator[Heard]:
        """The servers' messages to this client as they come, until `until` by the monotonic clock."""
        while (left_s := until - time.monotonic()) > 0:
            readable, _, _ = select.select([self._sock], [], [], left_s)
            self._take_stamps()
            heard = self._receive() if readable else None
            if heard is not None:
                yield heard

    def _receive(self) -> Heard | None:
        try:
            data, control, _, source = self._sock.recvmsg(2048, stamps.CONTROL_BYTES)
        except BlockingIOError:
            return None
        wall, mono = clocks()
        message = dhcp_packets.parse(data, self._mac)
        packet = self._sent.get(message.xid) if message else None
        if message is None or packet is None:
            return None
        took_s, used = round_trip(packet, stamps.received_at(control), wall, mono)
        self.stamps = min(self.stamps, used, key=("user", "kernel_receive", "kernel").index)
        return Heard(message, bytes(source[4]), took_s)

    def _take_stamps(self) -> None:
        while (notice := stamps.read_error_queue(self._sock)) is not None:
            if isinstance(notice, stamps.SendStamp) and notice.key < len(self._by_key):
                self._by_key[notice.key].tx_ns = notice.ns


def exchange(order: Order) -> Outcome:
    """The whole of it."""
    with opened(order.interface) as sock:
        talk = Exchange(sock, order)
        asyncio.run(stamps.flowing())
        heard, attempts = _offers(talk, order)
        offers = tuple(_offer(each) for each in heard)
        found = Outcome(offers=offers, attempts=attempts, stamps=talk.stamps if offers else None)
        if not offers:
            return _with(found, error="timeout", detail=f"no offer on {order.interface} within {order.timeout_s:g} s")
        chosen = next((i for i, offer in enumerate(offers) if offer.server in order.expected_servers), 0)
        found = _with(found, chosen=chosen)
        return _lease(talk, order, heard[chosen], found) if order.full else found


def opened(interface: str) -> socket.socket:
    """A socket that hears what is for DHCP clients on the link.

    Raises:
        OSError: There is no such interface, or this process may not.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    try:
        sock.setblocking(False)
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in _TO_A_CLIENT))
        program = struct.pack("@HP", len(_TO_A_CLIENT), ctypes.addressof(code))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        sock.bind((interface, _ETH_P_IP))
    except BaseException:
        sock.close()
        raise
    return sock


def _offers(talk: Exchange, order: Order) -> tuple[list[Heard], int]:
    """Offers, one of each server, in the order of their coming; and how many DISCOVERs that took."""
    heard: dict[_Server, Heard] = {}
    attempts, end = 0, time.monotonic() + order.timeout_s
    while not heard and (now := time.monotonic()) < end:
        client = talk.client()
        talk.send(dhcp_packets.discover(client), client)
        attempts += 1
        for each in talk.hear(min(now + _RESEND_S, end)):
            _note(heard, each)
            if heard:
                break
    if heard:
        for each in talk.hear(time.monotonic() + order.wait_s):
            _note(heard, each)
    return list(heard.values())[:_MOST_OFFERS], attempts


def _note(heard: dict[_Server, Heard], each: Heard) -> None:
    """Two that claim one identifier from two hardware addresses are two; relays of one server are one."""
    if each.message.kind == "offer":
        heard.setdefault((each.message.server, None if each.message.relayed else each.mac), each)


def _lease(talk: Exchange, order: Order, offer: Heard, found: Outcome) -> Outcome:
    """Takes the address offered and gives it back."""
    told, client = offer.message, Client(bytes.fromhex(order.client), offer.message.xid)
    talk.send(dhcp_packets.request(client, told.address, told.server), client)
    for each in talk.hear(time.monotonic() + order.timeout_s):
        if each.message.server != told.server or each.message.xid != client.xid:
            continue
        if each.message.kind == "nak":
            return _with(found, error="refused", detail=f"{told.server} takes its offer back: {each.message.text}")
        if each.message.kind == "ack":
            leased = _with(found, ack_time=each.took_s, lease_time=talk.since_first_s(), stamps=talk.stamps)
            if order.keep:
                return leased
            _release(talk, found.offers[found.chosen or 0])
            return _with(leased, released=True)
    return _with(found, error="timeout", detail=f"{told.server} offers {told.address} and does not grant it")


def give_back(order: Order, offer: Offer) -> None:
    """Releases an address that was kept.

    Raises:
        OSError: It can't be sent.
    """
    with opened(order.interface) as sock:
        _release(Exchange(sock, order), offer)


def _release(talk: Exchange, offer: Offer) -> None:
    farewell, mac = talk.client(), bytes.fromhex((offer.mac or "ff" * 6).replace(":", ""))
    talk.send(dhcp_packets.release(farewell, offer.address, offer.server), farewell, mac)


def _offer(heard: Heard) -> Offer:
    message = heard.message
    return Offer(
        server=message.server,
        offer_time=heard.took_s,
        address=message.address,
        source=message.source,
        mac=mac_text(heard.mac),
        netmask=message.netmask,
        lease_time=message.lease_s,
        routers=message.routers,
        resolvers=message.resolvers,
    )


def _with(found: Outcome, **more: object) -> Outcome:
    return msgspec.structs.replace(found, **more)


def main(order: str) -> None:
    """Does what the JSON says and prints what came of it."""
    try:
        outcome = exchange(msgspec.json.decode(order, type=Order))
    except OSError as e:
        outcome = Outcome(error=probe_error(e), detail=os.strerror(e.errno or 0))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
