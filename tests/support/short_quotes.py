"""A router that sends back no more than RFC 792 asks for: the IP header and 8 bytes, not the packet's data.

    python -m tests.support.short_quotes INTERFACE

The kernel's own errors are to be dropped meanwhile: they are longer than 56 bytes. Prints "ready"; ends with SIGTERM.
"""

import socket
import struct
import sys

ETH_P_IP, UDP = 0x0800, 17


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def time_exceeded(packet: bytes) -> bytes:
    """For a packet whose hop limit ends here."""
    quote = packet[:28]
    return struct.pack("!BBHI", 11, 0, checksum(struct.pack("!BBHI", 11, 0, 0, 0) + quote), 0) + quote


def main(interface: str) -> None:
    """Answers until it is ended."""
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP)) as heard,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as out,
    ):
        heard.bind((interface, ETH_P_IP))
        print("ready", flush=True)
        while True:
            packet, source = heard.recvfrom(2048)
            if source[2] != socket.PACKET_OUTGOING and packet[9] == UDP and packet[8] == 1:
                out.sendto(time_exceeded(packet), (socket.inet_ntoa(packet[12:16]), 0))


if __name__ == "__main__":
    main(sys.argv[1])
