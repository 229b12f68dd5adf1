"""wifi_air: who uses a channel's time; the radio helper makes a monitor interface, a child process listens to it."""

import time

import msgspec
from msgspec.structs import replace

from fibrewatch import python_child
from fibrewatch.errors import ToolError
from fibrewatch.results.wifi_air import Params, Result
from fibrewatch_agent.air.order import Order, Outcome
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.child import child
from fibrewatch_agent.child_answer import answer
from fibrewatch_agent.radio_helper.messages import Monitor
from fibrewatch_agent.traffic.amounts import Amount, Way
from fibrewatch_agent.wifi import radio
from fibrewatch_agent.wifi.nl80211 import known
from fibrewatch_agent.wifi.radio_interface import NONE

_START_S = 20.0  # a slow card takes seconds to load Python
_LARGEST = 1 << 16
_MEND = "give the agent CAP_NET_RAW: systemctl edit fibrewatch-agent, [Service] AmbientCapabilities=CAP_NET_RAW"
MOST_DROPPED, MOST_UNRATED = 0.01, 0.01
"""Shares of frames beyond which airtime is a lower bound only."""


async def wifi_air(params: Params, box: Box) -> Result:
    """Listens for a while.

    Raises:
        ProbeError: As `radio.monitor`; no_interface without a radio; permission, tool_failed of the child.
    """
    if box.interface is None:
        raise ProbeError("no_interface", "name the radio that listens as the test's interface" if known() else NONE)
    request, asked = _request(params, box.interface), time.time()
    async with radio.monitor(request, params.socket) as interface:
        order = Order(interface=interface, duration_s=params.duration_s, ssid=params.ssid, bssid=params.bssid)
        outcome = await _listened(order)
    if outcome.error is not None or outcome.result is None:
        detail = outcome.detail or "the child heard nothing"
        raise ProbeError(
            outcome.error or "tool_failed", f"{detail}: {_MEND}" if outcome.error == "permission" else detail
        )
    _judge(outcome.result, box)
    return replace(outcome.result, listened_from=None if outcome.began is None else outcome.began - asked)


def _request(params: Params, interface: str) -> Monitor:
    try:
        return msgspec.convert(
            {
                "do": "monitor",
                "interface": interface,
                "frequency": params.frequency,
                "width": params.width,
                "center": params.center,
                "duration_s": params.duration_s + _START_S,
            },
            type=Monitor,
        )
    except msgspec.ValidationError as e:
        raise ProbeError("denied", str(e)) from e


def _judge(result: Result, box: Box) -> None:
    """What was missed is on the air all the same."""
    frames = result.frames or 0
    if (result.dropped or 0) > MOST_DROPPED * (frames + (result.dropped or 0)):
        box.mark("censored", "frames_dropped")
    if (result.unrated or 0) > MOST_UNRATED * (frames + (result.bad_frames or 0)):
        box.mark("censored", "frames_unrated")


async def _listened(order: Order) -> Outcome:
    argv = python_child.command("fibrewatch_agent.air.child", msgspec.json.encode(order).decode())
    try:
        async with child(argv, keep=_LARGEST) as process:
            if not await process.ends_within(_START_S + order.duration_s):
                raise ProbeError("timeout", "the child that listens hangs")
            return await answer(process, Outcome, "the child that listens")
    except ToolError as e:
        raise ProbeError("tool_missing", str(e)) from e


def traffic(params: Params, way: Way) -> Amount:
    """Nothing is sent."""
    return Amount(0.0, 0.0, "exact", on_link=True)
