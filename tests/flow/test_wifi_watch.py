"""Listening for events between runs, on an interface of this machine: its state, its end, and ours."""

import asyncio
import gc
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibrewatch_agent.wifi import nl80211
from fibrewatch_agent.wifi.nl80211 import Interface
from fibrewatch_agent.wifi.tally import Tally
from fibrewatch_agent.wifi.watch import Watch
from tests.support.netns import run
from tests.support.waiting import until

BSSID, GROUPS = "02:00:00:00:01:00", {"mlme": 1}


@pytest.fixture
def interface() -> Iterator[Interface]:
    """An interface with a peer, up; nothing wireless is needed to see whether it can carry data."""
    name, peer = f"w{os.getpid()}a", f"w{os.getpid()}b"
    run("ip", "link", "add", name, "type", "veth", "peer", "name", peer)
    for each in (name, peer):
        run("ip", "link", "set", each, "up")
    yield Interface(socket.if_nametoindex(name), name, nl80211.STATION, 0, b"fibre")
    if name in {each for _, each in socket.if_nameindex()}:
        run("ip", "link", "del", name)


async def test_time_without_carrier_is_an_interruption(interface: Interface) -> None:
    tally = Tally(time.monotonic())
    watch = Watch(interface, GROUPS, tally, BSSID)
    peer = interface.name[:-1] + "b"
    run("ip", "link", "set", peer, "down")
    await until(lambda: tally.take(time.monotonic()).interruption_time > 0)
    run("ip", "link", "set", peer, "up")
    await until(lambda: (tally.take(time.monotonic()).interruption_max or 0) > 0)
    assert not watch.gone


async def test_removal_is_noticed(interface: Interface) -> None:
    watch = Watch(interface, GROUPS, Tally(time.monotonic()), BSSID)
    run("ip", "link", "del", interface.name)
    await until(lambda: watch.gone)


async def test_watch_that_nobody_holds_listens_no_more(interface: Interface) -> None:
    before = open_files()
    watch = Watch(interface, GROUPS, Tally(time.monotonic()), BSSID)
    assert open_files() == before + 2
    del watch
    gc.collect()
    assert open_files() == before
    run("ip", "link", "del", interface.name)
    await asyncio.sleep(0)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
