"""DHCP messages: ours as a server reads them, byte by byte, and a server's however it looks."""

import socket
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fibrewatch_agent.dhcp import packets as dhcp_packets
from fibrewatch_agent.dhcp.packets import Client
from tests.support.dhcp_server import NAK, OFFER, message, noise

MAC = bytes.fromhex("0253aabbccdd")
CLIENT = Client(MAC, 0x12345678)
ASKED = dhcp_packets.discover(CLIENT)


def fields(packet: bytes) -> dict[str, Any]:
    """An IP packet of ours, read with nothing of scapy's."""
    assert packet[0] == 0x45
    assert (packet[9], struct.unpack_from("!2H", packet, 20)) == (socket.IPPROTO_UDP, (68, 67))
    bootp = packet[28:]
    options, rest = {}, bootp[240:]
    while rest[0] != 255:
        options[rest[0]] = rest[2 : 2 + rest[1]]
        rest = rest[2 + rest[1] :]
    return {
        "from": socket.inet_ntoa(packet[12:16]),
        "to": socket.inet_ntoa(packet[16:20]),
        "xid": int.from_bytes(bootp[4:8], "big"),
        "broadcast": bool(bootp[10] & 0x80),
        "ciaddr": socket.inet_ntoa(bootp[12:16]),
        "chaddr": bootp[28:34],
        "options": options,
    }


def test_a_discover_asks_everybody_and_wants_the_answer_by_broadcast() -> None:
    said = fields(ASKED)
    assert (said["from"], said["to"], said["ciaddr"]) == ("0.0.0.0", "255.255.255.255", "0.0.0.0")
    assert (said["xid"], said["chaddr"], said["broadcast"]) == (0x12345678, MAC, True)
    assert said["options"][53] == b"\1"
    assert said["options"][61] == b"\0fibrewatch-0253aabbccdd"
    assert 51 not in said["options"], "the lease time offered is the server's own"


def test_a_request_names_one_server_and_asks_for_a_short_lease() -> None:
    options = fields(dhcp_packets.request(CLIENT, "10.0.0.7", "10.0.0.1"))["options"]
    assert options[53] == b"\3"
    assert (options[50], options[54]) == (socket.inet_aton("10.0.0.7"), socket.inet_aton("10.0.0.1"))
    assert options[51] == struct.pack("!I", 120)
    assert options[61] == CLIENT.identifier


def test_a_release_comes_from_the_address_that_is_given_back() -> None:
    said = fields(dhcp_packets.release(CLIENT, "10.0.0.7", "10.0.0.1"))
    assert (said["from"], said["to"], said["ciaddr"]) == ("10.0.0.7", "10.0.0.1", "10.0.0.7")
    assert (said["broadcast"], said["options"][53], said["options"][61]) == (False, b"\7", CLIENT.identifier)


def from_server(bootp: bytes, ports: tuple[int, int] = (67, 68)) -> bytes:
    udp = struct.pack("!4H", *ports, 8 + len(bootp), 0) + bootp
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x0a\0\0\x01", b"\xff" * 4)
    return head + udp


def test_an_offer_is_read() -> None:
    said = dhcp_packets.parse(from_server(message(OFFER, ASKED[28:])), MAC)
    assert said is not None
    assert (said.kind, said.xid, said.server, said.source) == ("offer", 0x12345678, "10.98.0.1", "10.0.0.1")
    assert (said.address, said.lease_s, said.netmask, said.routers, said.text) == ("10.98.0.150", 600, None, (), "")


def test_a_refusal_keeps_its_words() -> None:
    said = dhcp_packets.parse(from_server(message(NAK, ASKED[28:])), MAC)
    assert said is not None
    assert (said.kind, said.text) == ("nak", "no longer")


def test_a_server_that_gives_no_identifier_is_known_by_its_address() -> None:
    good = message(OFFER, ASKED[28:])
    said = dhcp_packets.parse(from_server(good[:243] + good[249:]), MAC)
    assert said is not None
    assert said.server == "10.0.0.1"


def test_what_is_not_for_us_is_nothing() -> None:
    good = message(OFFER, ASKED[28:])
    assert dhcp_packets.parse(from_server(good), bytes(6)) is None
    assert dhcp_packets.parse(from_server(good, (68, 67)), MAC) is None
    assert dhcp_packets.parse(ASKED, MAC) is None


@pytest.mark.parametrize("bootp", noise(ASKED[28:]))
def test_noise_is_nothing_or_another_transaction(bootp: bytes) -> None:
    said = dhcp_packets.parse(from_server(bootp), MAC)
    assert said is None or said.xid == 1


@given(st.binary(max_size=120), st.integers(0, 300), st.binary(max_size=60))
@example(b"", 0, b"")
def test_no_packet_is_too_strange(noise: bytes, cut: int, tail: bytes) -> None:
    good = message(OFFER, ASKED[28:])
    for packet in (noise, from_server(good[:240] + noise), from_server(good[:cut] + tail), from_server(good)[:cut]):
        said = dhcp_packets.parse(packet, MAC)
        assert said is None or (len(said.routers) <= 4 and len(said.resolvers) <= 8)
