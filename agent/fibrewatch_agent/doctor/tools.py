"""The programs and packages that some probes need."""

import asyncio
import re
import shutil
import sys
from importlib.util import find_spec

from fibrewatch.errors import ToolError
from fibrewatch_agent.child import child
from fibrewatch_agent.config import AgentConfig
from fibrewatch_agent.doctor.diagnosis import Check, planned

_VERSION_S = 10.0
_OAEP_SINCE = (3, 17)
"""From here on iperf3 pads its authentication by OAEP unless told otherwise; older ones know PKCS #1 alone."""


async def checks(config: AgentConfig | None) -> list[Check]:
    """All of them."""
    return [await _iperf3(config), _scapy(config)]


async def _iperf3(config: AgentConfig | None) -> Check:
    needed, found = planned(config, "throughput"), shutil.which("iperf3")
    if found is None:
        return Check("iperf3", False, "not installed", "apt install iperf3", needed=needed)
    version = await _version(found)
    if version is None:
        return Check("iperf3", False, f"{found} does not tell its version", "apt install --reinstall iperf3", needed)
    text = ".".join(map(str, version))
    told = "told to pad" if version[:2] >= _OAEP_SINCE else "pads"
    return Check("iperf3", True, f"{text} at {found}; {told} its authentication by PKCS #1, as our responders do")


async def _version(program: str) -> tuple[int, ...] | None:
    try:
        async with asyncio.timeout(_VERSION_S), child([program, "--version"], keep=4096) as process:
            await process.wait()
            said = re.match(rb"iperf (\d+(?:\.\d+)+)", bytes(process.output))
    except (ToolError, TimeoutError):
        return None
    return tuple(map(int, said[1].split(b"."))) if said else None


def _scapy(config: AgentConfig | None) -> Check:
    if find_spec("scapy") is not None:
        return Check("scapy", True, "installed, loaded by dhcp's child only")
    remedy = f"{sys.executable} -m pip install 'scapy>=2.6,<3'"
    return Check("scapy", False, "not installed: no dhcp", remedy, needed=planned(config, "dhcp"))
