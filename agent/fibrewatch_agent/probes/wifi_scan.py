"""wifi_scan: has the radio helper listen on all channels, and reads from the kernel who was heard."""

import asyncio
from collections.abc import Sequence

from fibrewatch.results.wifi_scan import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.clock import boottime
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.radio_helper.messages import DEFAULT_SOCKET, MOST_NAMES, Scan
from fibrewatch_agent.traffic.amounts import Amount, Way
from fibrewatch_agent.wifi import around, elements, look
from fibrewatch_agent.wifi import radio as helper
from fibrewatch_agent.wifi.around import Ours
from fibrewatch_agent.wifi.channels import span
from fibrewatch_agent.wifi.nl80211 import Interface
from fibrewatch_agent.wifi.radio_interface import radio
from fibrewatch_agent.wifi.station import Bss

_MARGIN_S = 35.0
_WITHOUT = {"tool_missing", "permission", "denied"}
"""What the helper's absence, or its config, says: others' scans must do then."""
_LINK_LASTS_S = 5.0
"""So long before a scan the link's own access point may have been heard to count: it needs none."""


async def wifi_scan(params: Params, box: Box) -> Result:
    """One scan, or a look at others'.

    Raises:
        ProbeError: no_interface; what the helper says of a scan that failed: busy, timeout …
    """
    findings = Findings(Result)
    async with findings.within(params.timeout_s + _MARGIN_S):
        findings.step = "asking nl80211"
        first, _ = await asyncio.to_thread(_heard, box.interface)
        findings.note(interface=first.name)
        findings.step, began = f"scanning on {first.name}", boottime()
        scanned = await _scan(params, first, findings)
        interface, heard = await asyncio.to_thread(_heard, first.name)
        now = boottime()
        since = began if scanned else now - params.max_age_s
        _judge(params, interface, [each for each in heard if _counts(each, since)], now, findings)
    return findings.result()


async def _scan(params: Params, interface: Interface, findings: Findings[Result]) -> bool:
    """Whether there was a scan of our own."""
    order = Scan(
        interface=interface.name,
        passive=not params.active,
        ssids=params.ssids[:MOST_NAMES] if params.active else (),
        frequencies=params.frequencies,
        timeout_s=params.timeout_s,
    )
    try:
        done = await helper.scan(order, params.socket or DEFAULT_SOCKET)
    except ProbeError as e:
        if e.error not in _WITHOUT:
            raise
        findings.note(source="cache", why_cache=e.detail[:400])
        return False
    findings.note(source="scan", scan_time=done.duration, aborted=done.aborted)
    return True


def _heard(wanted: str | None) -> tuple[Interface, list[Bss]]:
    """The interface, and the kernel's list of networks."""
    with radio(wanted) as (air, interface):
        return interface, look.around(air, interface, boottime())


def _counts(bss: Bss, since: float) -> bool:
    return bss.seen_at >= since or (bss.associated and bss.seen_at >= since - _LINK_LASTS_S)


def _judge(params: Params, interface: Interface, found: Sequence[Bss], now: float, findings: Findings[Result]) -> None:
    names = around.site_names(params, interface.ssid)
    everything = around.heard(found, params, names, now)
    complete = findings.result().source == "scan" and not findings.result().aborted
    findings.note(ssids=names, **around.counted(everything, _ours(interface, found)))
    findings.note(**around.expected(everything, params, complete=complete))


def _ours(interface: Interface, found: Sequence[Bss]) -> Ours | None:
    """The link's channel: the kernel's word, or else its access point's own."""
    linked = next((each for each in found if each.associated), None)
    if linked is None:
        return None
    spans = elements.spans(elements.parse(linked.elements), linked.frequency)
    if interface.centre is not None and interface.width is not None:
        spans = (span(interface.centre, interface.width),)
    return Ours(linked.bssid.hex(":"), linked.frequency, spans)


def traffic(params: Params, way: Way) -> Amount:
    """None on the line: it listens, or asks on the air."""
    return Amount(0, 0)
