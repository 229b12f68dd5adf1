"""What the kernel lets this box do: time stamps, sockets, ports, families, radio."""

import array
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from fibrewatch_agent.config import AgentConfig
from fibrewatch_agent.doctor.diagnosis import Check, planned
from fibrewatch_agent.net import netlink, stamps
from fibrewatch_agent.net.interfaces import kind

_WIFI = ("wifi_link", "wifi_scan")
REFLECTOR_PORT = 862  # RFC 8762 §4.1
_ICMP_PROTOCOL = socket.IPPROTO_ICMP
_SIOCETHTOOL, _GET_TS_INFO = 0x8946, 0x41  # linux/sockios.h, linux/ethtool.h
_TX_HARDWARE, _TX_SOFTWARE, _RX_HARDWARE, _RX_SOFTWARE = 1, 2, 4, 8  # linux/net_tstamp.h
_SIOCGIFFLAGS, _IFF_UP = 0x8913, 1
_CAPABILITIES = {10: "net_bind_service", 12: "net_admin", 13: "net_raw", 23: "sys_nice"}  # linux/capability.h
_UNIT = "/etc/systemd/system/fibrewatch-agent.service.d"
_GRANT = (
    f"mkdir -p {_UNIT} && printf '[Service]\\nAmbientCapabilities=CAP_NET_RAW\\n' > {_UNIT}/net-raw.conf && "
    "systemctl daemon-reload && systemctl restart fibrewatch-agent"
)


def checks(config: AgentConfig | None, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> Iterator[Check]:
    """All of them."""
    yield _stamps()
    for interface in _measured_over(config):
        yield interface_stamps(interface)
    yield _icmp(config)
    yield _packets(config)
    yield capabilities(proc)
    yield _ipv6(config, proc)
    yield radio(sys, needed=config is not None and planned(config, *_WIFI))
    yield _reflector_port()


def is_up(interface: str) -> bool:
    """Whether an interface is switched on (IFF_UP)."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            answer = fcntl.ioctl(s, _SIOCGIFFLAGS, struct.pack("=16sh22x", interface.encode(), 0))
    except OSError:
        return False
    return bool(struct.unpack_from("=16xh", answer)[0] & _IFF_UP)


def _stamps() -> Check:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        source = stamps.enable(s)
    finding = {
        "kernel": "the kernel stamps sending and receiving",
        "kernel_receive": "the kernel stamps receiving only",
    }
    remedy = "uname -r; use a kernel of 5.1 or later: without its stamps a busy box adds to every round trip"
    return Check("time stamps", source == "kernel", finding.get(source, "none by the kernel"), remedy)


def _measured_over(config: AgentConfig | None) -> list[str]:
    """Interfaces that tests are bound to, and those of the default routes."""
    present = {name for _, name in socket.if_nameindex()}
    bound = {plan.interface for plan in config.plans if plan.interface} if config else set()
    families: tuple[netlink.Family, ...] = (4, 6)
    routed = {socket.if_indextoname(route.interface) for family in families for route in _gateways(family)}
    return sorted((bound | routed) & present)


def _gateways(family: netlink.Family) -> list[netlink.Route]:
    try:
        return netlink.default_gateways(family)
    except OSError:
        return []


def interface_stamps(interface: str) -> Check:
    """What the driver says that it stamps (ethtool -T); without software stamps of sending, sends are timed late."""
    name, remedy = f"{interface} stamps", f"ethtool -T {interface}; use an interface whose driver stamps"
    told = array.array("B", struct.pack("=I40x", _GET_TS_INFO))
    request = struct.pack("16sP", interface.encode(), told.buffer_info()[0])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            fcntl.ioctl(s, _SIOCETHTOOL, request)
    except OSError as e:
        return Check(name, False, f"the driver does not tell ({e.strerror})", remedy, needed=False)
    flags, clock = struct.unpack_from("=Ii", told.tobytes(), 4)
    software = _both(flags, _TX_SOFTWARE, _RX_SOFTWARE)
    hardware = _both(flags, _TX_HARDWARE, _RX_HARDWARE)
    finding = f"by software {software}, by hardware {hardware}{f' (/dev/ptp{clock})' if clock >= 0 else ''}"
    return Check(name, bool(flags & _TX_SOFTWARE and flags & _RX_SOFTWARE), finding, remedy)


def _both(flags: int, sending: int, receiving: int) -> str:
    words = [word for word, bit in (("sending", sending), ("receiving", receiving)) if flags & bit]
    return " and ".join(words) or "none"


def _icmp(config: AgentConfig | None) -> Check:
    datagram = _opens(socket.AF_INET, socket.SOCK_DGRAM, _ICMP_PROTOCOL)
    raw = _opens(socket.AF_INET, socket.SOCK_RAW, _ICMP_PROTOCOL)
    ways = [way for way, opens in (("datagram", datagram), ("raw", raw)) if opens]
    finding = f"{' and '.join(ways) or 'neither datagram nor raw'} sockets can be opened"
    remedy = 'sysctl -w net.ipv4.ping_group_range="0 2147483647"'
    return Check("ICMP", bool(ways), finding, remedy, needed=planned(config, "ping"))


def _packets(config: AgentConfig | None) -> Check:
    if _opens(socket.AF_PACKET, socket.SOCK_DGRAM, 0):
        return Check("packets", True, "packet sockets can be opened (lan, dhcp)")
    finding = "packet sockets are refused: no dhcp; lan only asks the kernel, without round trips"
    return Check("packets", False, finding, _GRANT, needed=planned(config, "dhcp"))


def _opens(family: int, how: int, protocol: int) -> bool:
    try:
        socket.socket(family, how, protocol).close()
    except OSError:
        return False
    return True


def capabilities(proc: Path) -> Check:
    """Those of this process that measuring can use; the lines above and below say where one is missing."""
    lines = (proc / "self/status").read_text("ascii").splitlines()
    effective = int(next(line.split()[1] for line in lines if line.startswith("CapEff:")), 16)
    held = [name for bit, name in _CAPABILITIES.items() if effective >> bit & 1]
    return Check("capabilities", True, ", ".join(held) or "none")


def _ipv6(config: AgentConfig | None, proc: Path) -> Check:
    needed = [p.key for p in config.plans if p.family == 6 or ":" in (p.address or "")] if config else []
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.connect(("2001:db8::1", 9))  # sends nothing: asks for a route and a source address
    except OSError as e:
        finding = f"no route ({e.strerror})" + (f", needed by {', '.join(needed[:3])}" if needed else "")
        return Check("IPv6", False, finding, _ipv6_remedy(proc), needed=bool(needed))
    return Check("IPv6", True, "there is a route")


def _ipv6_remedy(proc: Path) -> str:
    try:
        off = (proc / "sys/net/ipv6/conf/all/disable_ipv6").read_text("ascii").strip() == "1"
    except OSError:
        return "modprobe ipv6"
    return "sysctl -w net.ipv6.conf.all.disable_ipv6=0" if off else "ip -6 route show default; ip -6 addr"


def radio(sys: Path, *, needed: bool = False) -> Check:
    """Wireless interfaces, whether they speak nl80211, and whether they are switched off."""
    folder = sys / "class/net"
    names = sorted(each.name for each in folder.iterdir() if kind(sys, each.name) == "wireless")
    if not names:
        return Check("radio", False, "no wireless interface", "lsusb; dmesg | grep -i firmware", needed=needed)
    deaf = [name for name in names if not (folder / name / "phy80211").exists()]
    if deaf:
        remedy = f"ethtool -i {deaf[0]}; use an adapter whose driver is of mac80211 or cfg80211"
        return Check("radio", False, f"the driver of {', '.join(deaf)} knows no nl80211", remedy)
    soft, hard = _blocked(sys, "soft"), _blocked(sys, "hard")
    if hard:
        return Check("radio", False, f"{', '.join(names)}: off by its switch", "rfkill list wifi; turn the switch")
    finding = f"{', '.join(names)}: {'switched off' if soft else 'by nl80211'}"
    return Check("radio", not soft, finding, "rfkill unblock wifi")


def _blocked(sys: Path, how: str) -> bool:
    switches = [
        each for each in sys.glob("class/rfkill/rfkill*") if (each / "type").read_text("ascii").strip() == "wlan"
    ]
    return any((each / how).read_text("ascii").strip() == "1" for each in switches)


def _reflector_port() -> Check:
    name = f"port {REFLECTOR_PORT}"
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("0.0.0.0", REFLECTOR_PORT))  # noqa: S104 - only to see whether we may; closed at once
    except PermissionError:
        remedy = f"sysctl -w net.ipv4.ip_unprivileged_port_start={REFLECTOR_PORT}"
        return Check(name, False, "a STAMP reflector may not bind it", remedy, needed=False)
    except OSError as e:
        if e.errno != errno.EADDRINUSE:
            return Check(name, False, os.strerror(e.errno or 0), "ip -br addr", needed=False)
        return Check(name, True, "in use: a reflector runs already")
    return Check(name, True, "a STAMP reflector may bind it")
