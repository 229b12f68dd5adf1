"""One scan: triggered, and waited for until the kernel says that it is done or broken off."""

import asyncio
import contextlib
import errno
import time

from fibrewatch.ssid import octets
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net.sockets import readable
from fibrewatch_agent.radio_helper import links, orders
from fibrewatch_agent.radio_helper.messages import Scan, Scanned
from fibrewatch_agent.wifi.nl80211 import Interface, Nl80211

_LOOK_AGAIN_S = 0.2


async def scan(request: Scan, interface: Interface) -> Scanned:
    """Sets the interface up for it where it is down.

    Raises:
        ProbeError: timeout, busy; unreachable, the radio is switched off.
    """
    was_up = links.is_up(interface.name)
    try:
        if not was_up:
            _set_up(interface)
        async with asyncio.timeout(request.timeout_s):
            with Nl80211() as heard, Nl80211() as asked:
                heard.join("scan")
                return await _scan(request, interface.ifindex, heard, asked)
    except TimeoutError as e:
        raise ProbeError("timeout", f"{interface.name}: no end of the scan within {request.timeout_s:g} s") from e
    finally:
        if not was_up:
            with contextlib.suppress(OSError):
                links.set_up(interface.ifindex, up=False)


def _set_up(interface: Interface) -> None:
    try:
        links.set_up(interface.ifindex)
    except OSError as e:
        if e.errno != errno.ERFKILL:
            raise
        raise ProbeError("unreachable", f"{interface.name}: its radio is switched off (rfkill)") from e


async def _scan(request: Scan, index: int, heard: Nl80211, asked: Nl80211) -> Scanned:
    ssids = () if request.passive else (b"", *(octets(each) for each in request.ssids))
    restarts = 0
    while True:
        _drain(heard)  # the end of another's scan is none of ours
        try:
            orders.trigger_scan(asked, index, ssids, request.frequencies, flush=request.flush)
            break
        except OSError as e:
            if e.errno != errno.EBUSY:
                raise
        restarts += 1
        await asyncio.sleep(_LOOK_AGAIN_S)
    triggered = time.monotonic()
    try:
        word = await _word(heard, index)
    except BaseException:
        with contextlib.suppress(OSError):
            orders.abort_scan(asked, index)
        raise
    return Scanned(duration=time.monotonic() - triggered, aborted=word == "aborted", restarts=restarts)


async def _word(heard: Nl80211, index: int) -> str:
    while True:
        try:
            if (word := orders.scan_word(heard, index)) is not None:
                return word
        except BlockingIOError:
            await readable(heard.sock)


def _drain(heard: Nl80211) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            orders.scan_word(heard, 0)
