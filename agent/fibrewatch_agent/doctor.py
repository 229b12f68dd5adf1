"""What this box can and can't measure now; each fault with the command that mends it: `fibrewatch-agent doctor`."""

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fibrewatch.errors import ConfigError
from fibrewatch_agent import stamps
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.clock import ClockState, kernel_clock
from fibrewatch_agent.config import AgentConfig, BrokerConfig, load_config
from fibrewatch_agent.icmp_socket import open_socket

CONNECT_S = 5.0


class Check(NamedTuple):
    """One thing looked at; `remedy` is what to type when it is not ok."""

    name: str
    ok: bool
    finding: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{'ok  ' if self.ok else 'FAIL'}  {self.name:<12} {self.finding}"
        return line if self.ok else f"{line}\n      {'':<12} → {self.remedy}"


async def examine(path: Path, clock: Callable[[], ClockState] = kernel_clock) -> list[Check]:
    """Looks at everything that a measurement may need; the config first, since it says what is needed."""
    try:
        config: AgentConfig | None = load_config(path)
        checks = [Check("config", True, f"{path}: {len(config.plans) if config else 0} tests")]
    except ConfigError as e:
        config = None
        checks = [Check("config", False, str(e), f"mend it, then: fibrewatch-agent check-config --config {path}")]
    checks += [_clock(config, clock()), _stamps(), _icmp(), _ipv6(config), _iperf3(config)]
    if config is not None:
        checks += [_state_dir(config.state_dir), *_interfaces(config), await _broker(config.broker)]
    return checks


def _clock(config: AgentConfig | None, clock: ClockState) -> Check:
    if clock.offset_bound_s is not None:
        return Check("clock", True, f"synchronised, within {clock.offset_bound_s * 1e3:.1f} ms")
    if config is not None and config.clock.trusted:
        return Check("clock", True, "not synchronised by this kernel, but trusted by [clock] in the config")
    return Check("clock", False, "not synchronised: results stay undated", "timedatectl set-ntp true")


def _stamps() -> Check:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        source = stamps.enable(s)
    finding = {
        "kernel": "the kernel stamps sending and receiving",
        "kernel_receive": "the kernel stamps receiving only",
    }
    remedy = "uname -r; use a kernel of 5.1 or later: without its stamps a busy box adds to every round trip"
    return Check("time stamps", source == "kernel", finding.get(source, "none by the kernel"), remedy)


def _icmp() -> Check:
    try:
        with open_socket(4, None) as s:
            kind = "datagram" if s.type == socket.SOCK_DGRAM else "raw"
    except ProbeError as e:
        remedy = 'sysctl -w net.ipv4.ping_group_range="0 2147483647"'
        return Check("ICMP", False, e.detail, remedy)
    return Check("ICMP", True, f"{kind} sockets can be opened")


def _ipv6(config: AgentConfig | None) -> Check:
    needed = [p.key for p in config.plans if p.family == 6 or ":" in (p.address or "")] if config else []
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.connect(("2001:db8::1", 9))  # sends nothing: asks for a route and a source address
    except OSError as e:
        finding = f"no route ({e.strerror})" + (f", needed by {', '.join(needed[:3])}" if needed else ", not needed")
        return Check("IPv6", not needed, finding, "ip -6 route show default; ip -6 addr")
    return Check("IPv6", True, "there is a route")


def _iperf3(config: AgentConfig | None) -> Check:
    found = shutil.which("iperf3")
    if found:
        return Check("iperf3", True, found)
    needed = config is None or any(plan.probe.name == "throughput" for plan in config.plans)
    return Check("iperf3", not needed, "not installed" + ("" if needed else ", not needed"), "apt install iperf3")


def _state_dir(folder: Path) -> Check:
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return Check("state", True, f"{folder} is writable")
    finding = "is not writable" if folder.exists() else "is not there"
    return Check("state", False, f"{folder} {finding}", f"install -d -o $(id -un) {folder}")


def _interfaces(config: AgentConfig) -> Iterator[Check]:
    present = {name for _, name in socket.if_nameindex()}
    for name in sorted({plan.interface for plan in config.plans if plan.interface}):
        finding = "is there" if name in present else f"is not there; there are {', '.join(sorted(present))}"
        yield Check("interface", name in present, f"{name} {finding}", "ip -br link")


async def _broker(broker: BrokerConfig) -> Check:
    from fibrewatch_agent.uplink import tls_context

    where = f"{broker.host}:{broker.port}"
    try:
        context = None if broker.tls is None else tls_context(broker.tls)
    except OSError as e:  # ssl.SSLError is one
        remedy = "ls -l the files of [broker.tls]; openssl x509 -noout -text -in each"
        return Check("broker", False, f"{where}: [broker.tls]: {e.strerror or e}", remedy)
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(broker.host, broker.port, ssl=context)
        writer.close()
    except TimeoutError:
        return Check("broker", False, f"{where}: no answer in {CONNECT_S:g} s", f"nc -vz {broker.host} {broker.port}")
    except ssl.SSLError as e:
        remedy = f"openssl s_client -connect {where}; compare with [broker.tls]"
        return Check("broker", False, f"{where}: TLS: {e.reason or e}", remedy)
    except OSError as e:
        why = os.strerror(e.errno) if e.errno and e.errno > 0 else e.strerror or e
        return Check("broker", False, f"{where}: {why}", f"nc -vz {broker.host} {broker.port}")
    return Check("broker", True, f"{where} answers{' with TLS' if context else ''}")
