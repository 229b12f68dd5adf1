"""A DHCP server that plays a part, made of bytes by hand: `python -m tests.support.dhcp_server PART` on eth0.

nak     offers, and takes it back when asked for it
mute    offers, and says no more
noise   sends what is no answer before it offers
garbage sends nothing else
relayed offers through a relay
"""

import socket
import struct
import sys

COOKIE = bytes.fromhex("63825363")
OFFER, NAK = 2, 6
DISCOVER, REQUEST = 1, 3
HERE, OFFERED = "10.98.0.1", "10.98.0.150"


def message(
    kind: int, asked: bytes, *, xid: bytes | None = None, client: bytes | None = None, relay: str = "0.0.0.0"
) -> bytes:
    """RFC 2131 §2, with the options that every server sends."""
    head = struct.pack("!BBBB", 2, 1, 6, 0) + (xid or asked[4:8]) + bytes(8) + socket.inet_aton(OFFERED) + bytes(4)
    head += socket.inet_aton(relay)
    options = bytes((53, 1, kind, 54, 4)) + socket.inet_aton(HERE) + bytes((51, 4)) + struct.pack("!I", 600)
    text = b"no longer" if kind == NAK else b""
    options += (bytes((56, len(text))) + text if text else b"") + b"\xff"
    return head + (client or asked[28:44]) + bytes(192) + COOKIE + options


def noise(asked: bytes) -> list[bytes]:
    """Empty, cut, of another transaction, for another client, no DHCP, an option longer than the packet."""
    good = message(OFFER, asked)
    return [
        b"",
        b"\x02",
        good[:100],
        good[:239],
        message(OFFER, asked, xid=b"\0\0\0\1"),
        message(OFFER, asked, client=bytes(16)),
        good[:236] + b"\0\0\0\0" + good[240:],
        good[:240] + bytes((53, 250, 2)),
        good[:240] + b"\xff",
        b"\x01" + good[1:],
    ]


def replies(part: str, asked: bytes) -> list[bytes]:
    """What this part says to a message of a client."""
    kind = asked[242] if asked[236:240] == COOKIE and asked[240] == 53 else 0
    relay = "10.98.0.7" if part == "relayed" else "0.0.0.0"
    if kind == DISCOVER:
        return (noise(asked) if part in ("noise", "garbage") else []) + [message(OFFER, asked, relay=relay)][
            part == "garbage" :
        ]
    return [message(NAK, asked)] if kind == REQUEST and part == "nak" else []


def main(part: str) -> None:
    """Until it is ended."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
        sock.bind(("", 67))
        print("ready", flush=True)
        while True:
            asked = sock.recv(2048)
            for reply in replies(part, asked):
                sock.sendto(reply, ("255.255.255.255", 68))


if __name__ == "__main__":
    main(sys.argv[1])
