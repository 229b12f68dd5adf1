"""What keeps the resident process small: nothing that waits for the garbage collector, nothing heavy loaded."""

import gc
import json
import subprocess
import sys
import time

import pytest

from fibrewatch.results import ping as pings
from fibrewatch_agent import memory
from fibrewatch_agent.box import Box, Window
from fibrewatch_agent.net.icmp import Echo, IcmpSockets
from fibrewatch_agent.probes.ping import ping

HEAVY = {
    "aiohttp",
    "email",
    "http.client",
    "pyroute2",
    "scapy",
    "shutil",
    "statistics",
    "typing_extensions",
    "unittest",
    "urllib.request",
}


async def test_window_s_packets_are_gone_when_it_ends() -> None:
    icmp = IcmpSockets()
    gc.collect()  # of all that a worker holds: it may take seconds on a busy machine
    gc.disable()
    try:
        now = time.time()
        box = Box(agent="a/b/c", test="t", icmp=icmp, address="127.0.0.1", window=Window(now, now + 2))
        result = await ping(pings.Params(interval_s=0.05, timeout_s=0.5), box)
        left = sum(isinstance(each, Echo) for each in gc.get_objects())
    finally:
        gc.enable()
        icmp.close()
    assert result.sent
    assert left == 0


def test_resident_agent_with_every_probe_loads_nothing_heavy() -> None:
    code = (
        "import sys, json, fibrewatch_agent.app, fibrewatch_agent.cli\n"
        "from fibrewatch_agent.config import runnable\n"
        "from fibrewatch_agent.probes import probe_function\n"
        "[probe_function(name) for name in runnable()]\n"
        "fibrewatch_agent.cli._commands().parser.parse_args(['run'])\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert not HEAVY & set(json.loads(said))


def test_module_that_is_left_out_can_be_imported_afterwards() -> None:
    code = (
        "import sys, fibrewatch_agent.uplink\n"
        "assert 'urllib.request' not in sys.modules\n"
        "import urllib.request\n"
        "print(urllib.request.getproxies.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("getproxies")


def test_module_that_is_loaded_stays() -> None:
    before = sys.modules["json"]
    with memory.without("json"):
        assert sys.modules["json"] is before
    assert sys.modules["json"] is before


def test_error_while_a_module_is_left_out_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError), memory.without("no.such.module"):
        assert "no.such.module" in sys.modules
        _ = 1 / 0
    assert "no.such.module" not in sys.modules
