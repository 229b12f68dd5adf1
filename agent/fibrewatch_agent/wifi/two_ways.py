"""Whether a box can use two interfaces apart: on one network the kernel must be told so, or replies go astray.

Source: Linux, Documentation/networking/ip-sysctl.rst (arp_ignore, rp_filter: the greater of `all` and the interface's
counts). Unless arp_ignore is 1 or more, each interface answers ARP for the other's address; where rp_filter is 1,
replies that come in by the interface that the route back does not use are dropped.
"""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

_STRICT = 1
_RTF_UP, _RTF_GATEWAY = 0x1, 0x2  # linux/route.h


def obstacle(wire: str, wifi: str, proc: Path = Path("/proc")) -> str | None:
    """What keeps their packets from being told apart; None: nothing does."""
    if not _shared(wire, wifi, proc):
        return None
    ignoring = all(_setting(proc, name, "arp_ignore") >= 1 for name in (wire, wifi))
    strict = [name for name in (wire, wifi) if _setting(proc, name, "rp_filter") == _STRICT]
    wanted = [] if ignoring else ["net.ipv4.conf.all.arp_ignore=1"]
    wanted += [f"net.ipv4.conf.{name}.rp_filter=2" for name in strict]
    if not wanted:
        return None
    return f"{wire} and {wifi} are on one network: set {', '.join(wanted)}"


def _shared(wire: str, wifi: str, proc: Path) -> bool:
    """Whether they have a network of IPv4 in common."""
    here, there = (list(_networks(name, proc)) for name in (wire, wifi))
    return any(one.overlaps(other) for one in here for other in there)


def _networks(interface: str, proc: Path) -> Iterator[ipaddress.IPv4Network]:
    """What is reached on the link itself; /proc/net/route has words in the host's byte order, see route(8)."""
    for line in _text(proc / "net/route").splitlines()[1:]:
        device, destination, _, flags, _, _, _, mask = line.split()[:8]
        if device == interface and int(flags, 16) & (_RTF_UP | _RTF_GATEWAY) == _RTF_UP and int(mask, 16):
            address = ipaddress.IPv4Address(bytes.fromhex(destination)[::-1])
            yield ipaddress.IPv4Network((address, int(mask, 16).bit_count()))


def _setting(proc: Path, interface: str, name: str) -> int:
    folder = proc / "sys/net/ipv4/conf"
    return max(_number(folder / each / name) for each in ("all", interface))


def _number(path: Path) -> int:
    return int(_text(path).strip() or 0)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
