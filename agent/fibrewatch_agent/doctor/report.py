"""What this box can and can't measure now; each fault with the command that mends it: `fibrewatch-agent doctor`."""

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from fibrewatch.errors import ConfigError
from fibrewatch_agent.clock import ClockState, kernel_clock
from fibrewatch_agent.config import AgentConfig, BrokerConfig, SpoolConfig, load_config
from fibrewatch_agent.doctor import host as diagnosis_host
from fibrewatch_agent.doctor import names as diagnosis_names
from fibrewatch_agent.doctor import tools as diagnosis_tools
from fibrewatch_agent.doctor.diagnosis import Check

CONNECT_S = 5.0


async def examine(path: Path, clock: Callable[[], ClockState] = kernel_clock) -> list[Check]:
    """Looks at everything that a measurement may need; the config first, since it says what is needed."""
    try:
        config: AgentConfig | None = load_config(path)
        checks = [Check("config", True, f"{path}: {len(config.plans) if config else 0} tests")]
    except ConfigError as e:
        config = None
        checks = [Check("config", False, str(e), f"mend it, then: fibrewatch-agent check-config --config {path}")]
    checks += [_clock(config, clock()), *diagnosis_host.checks(config), *await diagnosis_tools.checks(config)]
    if config is not None:
        checks += [_state_dir(config.state_dir), _disk(config.state_dir, config.spool)]
        checks += [check async for check in _network(config)]
    return checks


async def _network(config: AgentConfig) -> AsyncIterator[Check]:
    for check in _interfaces(config):
        yield check
    for check in await diagnosis_names.checks(config):
        yield check
    yield await _broker(config.broker)


def _clock(config: AgentConfig | None, clock: ClockState) -> Check:
    if clock.offset_bound_s is not None:
        return Check("clock", True, f"synchronised, within {clock.offset_bound_s * 1e3:.1f} ms")
    if config is not None and config.clock.trusted:
        return Check("clock", True, "not synchronised by this kernel, but trusted by [clock] in the config")
    return Check("clock", False, "not synchronised: results stay undated", "timedatectl set-ntp true")


def _state_dir(folder: Path) -> Check:
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return Check("state", True, f"{folder} is writable")
    finding = "is not writable" if folder.exists() else "is not there"
    return Check("state", False, f"{folder} {finding}", f"install -d -o $(id -un) {folder}")


def _disk(folder: Path, spool: SpoolConfig) -> Check:
    """Whether what may wait for the collector has a place; what the spool has taken already counts."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    files = (there.glob("spool.sqlite*") if there == folder else ()) if os.access(there, os.R_OK) else ()
    free, taken = shutil.disk_usage(there).free, sum(file.stat().st_size for file in files)
    finding = f"{free / 2**20:,.0f} MiB free at {there}, the spool may take {spool.max_bytes / 2**20:,.0f}"
    remedy = f"apt-get clean; journalctl --vacuum-size=50M; df -h {there}; or a smaller max_size under [spool]"
    return Check("disk", free + taken >= spool.max_bytes, finding, remedy)


def _interfaces(config: AgentConfig) -> Iterator[Check]:
    present = {name for _, name in socket.if_nameindex()}
    for name in sorted({plan.interface for plan in config.plans if plan.interface}):
        if name not in present:
            others = ", ".join(sorted(present))
            yield Check("interface", False, f"{name} is not there; there are {others}", "ip -br link")
        elif not diagnosis_host.is_up(name):
            yield Check("interface", False, f"{name} is down", f"ip link set {name} up")
        else:
            yield Check("interface", True, f"{name} is up")


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
