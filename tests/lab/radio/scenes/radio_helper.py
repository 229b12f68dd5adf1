"""What is left behind when who asked the radio helper, or itself, is killed half-way; and what it never touches."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fibrewatch.results.wifi_onboarding import Limits
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.radio_helper import orders
from fibrewatch_agent.radio_helper.messages import Monitor, Onboard, Scan
from fibrewatch_agent.wifi import radio
from tests.lab.radio import onboarding as here
from tests.lab.radio.world import World
from tests.support.netns import run
from tests.support.waiting import wait_until

RADIOS = 3
_NETWORKS = here.network("right", "fibre", "wpa2-psk", passphrase_file="/run/radio-helper/right")
_NETWORKS += here.network("absent", "nowhere", "wpa2-psk", passphrase_file="/run/radio-helper/right")
_USES = "[radios.wlan0]\nscan = true\nonboard = true\nmonitor = 'mon0'\n[radios.wlan2]\nscan = true\n"
_ASK = "import asyncio; from tests.lab.radio.onboarding import onboarded; onboarded('absent')"


def scene(world: World) -> Any:
    """Facts by the case's name."""
    here.prepare(_NETWORKS, _USES)
    world.access_point(1, "fibre")
    run("ip", "link", "set", "wlan0", "up")
    found: dict[str, Any] = {}
    with here.helper() as helper:
        found["scan"] = asyncio.run(radio.scan(Scan(interface="wlan2", frequencies=(2437,)), str(here.SOCKET)))
        found["scan_down"] = not _up("wlan2")
        found |= asyncio.run(_monitor())
        found["asker_killed"] = _asker_killed()
        found["supplicant_killed"] = _while_onboarding(_kill_supplicant)
        found["waited"] = asyncio.run(_waited())
        found["uplink"] = {_uplink("via", "10.99.0.1"), _uplink()}
        found["no_namespaces"] = _without_namespaces()
        found["removed"] = _removed(world)
        found["helper_killed"] = _helper_killed(helper)
    with here.helper():
        found["swept"] = _left()
    return found


def _while_onboarding(befalls: Callable[[], None]) -> Any:
    """What is told of an onboarding that something befalls, and how it is afterwards."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(here.onboarded, "absent", limits=Limits(join_s=60.0))
        wait_until(lambda: any(here.FOLDER.glob("onboard-*/control/wlan0")), "wpa_supplicant to listen", 120)
        befalls()
        answer = asked.result()
    return {"error": answer.error, "detail": answer.detail, "phase": answer.result.failed_phase}


def _kill_supplicant() -> None:
    for pid in _running("wpa_supplicant"):
        os.kill(pid, signal.SIGKILL)


def _removed(world: World) -> Any:
    """The driver goes while a radio is away for an onboarding, and while another scans; then it comes again."""
    with ThreadPoolExecutor(1) as pool:
        scanning = list[Future[str]]()

        def go() -> None:
            scanning.append(pool.submit(_said, Scan(interface="wlan2")))
            wait_until(lambda: _up("wlan2"), "the scan to begin")
            world.radios.remove()

        told = _while_onboarding(go)
        told["scan"] = scanning[0].result()
    told["without"] = _said(Scan(interface="wlan2"))
    world.radios.insert()
    run("ip", "link", "set", "wlan0", "up")
    return told | {"again": _said(Scan(interface="wlan2", frequencies=(2437,)))}


def _said(request: Scan) -> str:
    try:
        done = asyncio.run(radio.scan(request, str(here.SOCKET)))
    except ProbeError as e:
        return e.error
    return "aborted" if done.aborted else "done"


async def _monitor() -> dict[str, Any]:
    async with radio.monitor(Monitor(interface="wlan0", frequency=2437), str(here.SOCKET)) as name:
        during = [name in _names(), _up("wlan0"), "2437 MHz" in run("iw", "dev", name, "info")]
    return {"monitor_during": during, "monitor_after": ["mon0" in _names(), _up("wlan0")]}


def _asker_killed() -> dict[str, Any]:
    asker = subprocess.Popen([sys.executable, "-c", _ASK])
    _in_the_middle()
    asker.kill()
    asker.wait(30)
    return _back()


def _helper_killed(helper: "subprocess.Popen[bytes]") -> dict[str, Any]:
    asker = subprocess.Popen([sys.executable, "-c", _ASK], stderr=subprocess.DEVNULL)
    _in_the_middle()
    helper.send_signal(signal.SIGKILL)
    asker.wait(60)
    return _back()


def _in_the_middle() -> None:
    wait_until(lambda: _running("wpa_supplicant") and "wlan0" not in _names(), "the radio to be away", 120)


def _back() -> dict[str, Any]:
    began = time.monotonic()
    wait_until(lambda: "wlan0" in _names(), "the radio to be back", 60)
    wait_until(lambda: not _running("wpa_supplicant"), "its children to be gone", 60)
    wait_until(lambda: _up("wlan0") or time.monotonic() > began + 5, "the interface to be as it was", 60)
    return {"up": _up("wlan0"), "cells": _running("radio_helper.cell"), "files": _left()}


async def _waited() -> list[str]:
    """Two at once on one radio: the scan waits until the onboarding has put it back."""
    onboard = Onboard(network="right", fast=False, limits=here.SHORT)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(radio.onboard(onboard, str(here.SOCKET)))
        while "wlan0" in _names():
            await asyncio.sleep(0.05)
        second = group.create_task(asyncio.to_thread(_said, Scan(interface="wlan0", frequencies=(2437,))))
    return [str(first.result().result.failed_phase), second.result()]


def _without_namespaces() -> str:
    """As on a kernel that lets users make none."""
    limit = Path("/proc/sys/user/max_user_namespaces")
    before = limit.read_text()
    limit.write_text("0")
    try:
        asyncio.run(radio.onboard(Onboard(network="right"), str(here.SOCKET)))
    except ProbeError as e:
        return f"{e.error}: {e.detail}"
    finally:
        limit.write_text(before)
    return "done"


def _uplink(*way: str) -> str:
    """The radio carries a default route: it is the box's own way out."""
    run("ip", "addr", "add", "10.99.0.2/24", "dev", "wlan0")
    run("ip", "route", "add", "default", *way, "dev", "wlan0")
    try:
        asyncio.run(radio.onboard(Onboard(network="right"), str(here.SOCKET)))
    except ProbeError as e:
        return f"{e.error}: {e.detail}"
    finally:
        run("ip", "route", "flush", "dev", "wlan0")
        run("ip", "addr", "flush", "dev", "wlan0")
    return "done"


def _names() -> list[str]:
    return [each.name for each in orders.interfaces()]


def _up(name: str) -> bool:
    return bool(int(Path(f"/sys/class/net/{name}/flags").read_text(), 16) & 1)


def _running(text: str) -> list[int]:
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            line = (each / "cmdline").read_bytes()
        except OSError:
            continue
        if text.encode() in line and int(each.name) != os.getpid():
            found.append(int(each.name))
    return found


def _left() -> list[str]:
    return [each.name for each in here.FOLDER.glob("onboard-*")]
