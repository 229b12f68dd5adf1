"""path: every hop to the target along one flow or several, the largest packet that passes, and what is new since."""

import asyncio
import contextlib
import fcntl
import socket
import struct
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fibrewatch import stats
from fibrewatch.results.path import Flow as FlowResult
from fibrewatch.results.path import Hop, Params, Result, Router
from fibrewatch.results.ping import Stamps
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.net import netlink, stamps
from fibrewatch_agent.net.icmp_socket import interface_index
from fibrewatch_agent.net.sockets import Endpoint
from fibrewatch_agent.path.flow import SMALL, Flow, Probe, opened_flow, source_ports, tell_rejections
from fibrewatch_agent.path.history import History, Known
from fibrewatch_agent.path.mtu import MtuSearch
from fibrewatch_agent.path.names import Name, Names
from fibrewatch_agent.path.trace import AHEAD, REFILL_S, Trace
from fibrewatch_agent.traffic.amounts import Amount, Way

NEEDS_TARGET = True
_MARGIN_S = 8.0  # the name's resolution has a time limit of its own
_MOST_ROUTERS, _MOST_NAMED = 4, 60  # a measurement has at most 32 KiB
_SIOCGIFMTU = 0x8921
_FUTILE = 2
"""Rounds in a row without an answer more after which the rest is left."""
_STAMPS: Sequence[Stamps] = ("user", "kernel_receive", "kernel")


async def path(params: Params, box: Box) -> Result:
    """Traces all flows.

    Raises:
        ProbeError: As `Findings.within`; timeout, unreachable, denied, refused with what answered, when the target did
            not.
    """
    findings = Findings(Result)
    async with findings.within(params.deadline_s + _MARGIN_S):
        to = await findings.resolve(box, params.port)
        findings.step = f"tracing {to}"
        with contextlib.ExitStack() as opened:
            ports = source_ports(box)
            flows = [opened.enter_context(opened_flow(to, ports)) for _ in range(params.flows)]
            await stamps.flowing()
            run = _Run(params, flows)
            await run.trace()
            if params.mtu and run.first.length:
                findings.note(**await run.mtu(_interface_mtu(to)))
            findings.note(**_figures(run), **_ways(run, box, to.address))
            findings.note(path=await _path(run, params, box))
        _judge(run, findings, to)
    return findings.result()


_Owed = tuple[Trace, list[int]]


def _count(owed: Sequence[_Owed]) -> int:
    return sum(len(hops) for _, hops in owed)


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs the flows' work at once; what ends one of them ends all, and comes out as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for number, each in enumerate(work, 2):
                group.create_task(each, name=f"path flow {number}")
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


class _Run:
    """The flows of one run; the first one finds out, the others follow."""

    def __init__(self, params: Params, flows: Sequence[Flow]) -> None:
        self._params = params
        self.until = asyncio.get_running_loop().time() + params.deadline_s
        self.traces = [
            Trace(
                flow,
                max_hops=params.max_hops,
                silent_hops=params.silent_hops,
                timeout_s=params.timeout_s,
                until=self.until,
            )
            for flow in flows
        ]
        self.first, self._others = self.traces[0], self.traces[1:]
        self.mtu_probes: list[Probe] = []

    async def trace(self) -> None:
        await self.first.explore()
        await self.first.repeat(self._params.probes - 1)
        for trace in self._others:
            trace.singly = self.first.singly
        await _together(trace.explore(self.first.length) for trace in self._others)
        await self._fill_in()
        tell_rejections([probe for trace in self.traces for probe in trace.probes])  # what only another flow has heard

    async def _fill_in(self) -> None:
        """Asks again for what one flow has not heard and another has: a router that was out of answers."""
        futile = 0
        while (owed := self._owed()) and futile < _FUTILE and self._going():
            await asyncio.sleep(REFILL_S)
            await _together(trace.ask_again(hops) for trace, hops in owed)
            futile = 0 if _count(self._owed()) < _count(owed) else futile + 1

    def _owed(self) -> list[_Owed]:
        heard = {ttl for trace in self.traces for ttl in range(1, trace.length + 1) if trace.answered(ttl)}
        owed = (
            (trace, [ttl for ttl in heard if ttl <= (trace.distance or self.first.length) and not trace.answered(ttl)])
            for trace in self._others
        )
        return [(trace, hops) for trace, hops in owed if hops]

    def _going(self) -> bool:
        return asyncio.get_running_loop().time() + REFILL_S < self.until

    async def mtu(self, largest: int) -> dict[str, object]:
        """Along the first flow, as far as it has answers."""
        trace = self.first
        ttl = max(ttl for ttl in range(1, trace.length + 1) if trace.answered(ttl))
        search = MtuSearch(trace.flow, ttl, largest=largest, slowest_s=trace.slowest_s, until=self.until)
        limit = await search.run()
        self.mtu_probes = search.probes
        return {
            "mtu": limit.size if limit.black_hole is not None else None,
            "mtu_black_hole": limit.black_hole,
            "mtu_limited_by": limit.told_by,
            "mtu_to": next(iter(_routers(trace, ttl)), None),
        }


def _interface_mtu(to: Endpoint) -> int:
    """What the first link carries, bytes of IP; the kernel's memory of earlier limits is not asked."""
    index = netlink.route_to(to.address, interface_index(to.interface) if to.interface else None).interface
    request = struct.pack("=16si12x", socket.if_indextoname(index).encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, _SIOCGIFMTU, request)
    return min(65535, int(struct.unpack("=16si12x", answer)[1]))


def _routers(trace: Trace, ttl: int) -> tuple[str, ...]:
    """Who answered at a hop, the most frequent first."""
    return tuple(who for who, _ in Counter(probe.by for probe in trace.at(ttl) if probe.by).most_common())


def _known(trace: Trace) -> Known:
    return Known(tuple(_routers(trace, ttl) for ttl in range(1, trace.extent + 1)), trace.reached)


def _figures(run: _Run) -> dict[str, object]:
    """What is measured on the first flow, and over all of them."""
    first = run.first
    rtts = _rtts(first.at(first.length)) if first.reached else []
    sources = {probe.stamps for trace in run.traces for probe in trace.probes if probe.stamps}
    return {
        "hops": first.distance if first.reached else None,
        "rtt_min": min(rtts, default=None),
        "rtt_p50": stats.percentile(rtts, 0.5),
        "rtt_max": max(rtts, default=None),
        "silent": len(first.silent()),
        "reached_ratio": sum(trace.reached for trace in run.traces) / len(run.traces),
        "sent": sum(len(trace.probes) for trace in run.traces) + len(run.mtu_probes),
        "stamps": min(sources, key=_STAMPS.index, default=None),
    }


def _ways(run: _Run, box: Box, address: str) -> dict[str, object]:
    """The ways of the flows, and which of them are new."""
    history = box.memory.setdefault("path", History())
    changes = history.compare(address, {trace.flow.source_port: _known(trace) for trace in run.traces})
    return {
        "flows": tuple(_flow(trace) for trace in run.traces),
        "changed": None if changes is None else bool(changes),
        "changes": None if changes is None else int(bool(changes)),
        "previous": changes[0].before if changes else (),
        "current": changes[0].after if changes else (),
        "changed_flows": tuple(change.source_port for change in changes or ()),
        "branches": max((len(_all_routers(run, ttl)) for ttl in _ttls(run)), default=None),
    }


def _flow(trace: Trace) -> FlowResult:
    known = _known(trace)
    mixed = any(len(routers) > 1 for routers in known.hops)
    return FlowResult(source_port=trace.flow.source_port, way=known.way, reached=trace.reached, mixed=mixed)


def _ttls(run: _Run) -> range:
    return range(1, max(trace.extent for trace in run.traces) + 1)


def _all_routers(run: _Run, ttl: int) -> list[str]:
    """Over all flows that come so far, the most frequent first."""
    probes = _probes(run, ttl)
    return [who for who, _ in Counter(probe.by for probe in probes if probe.by).most_common()]


def _probes(run: _Run, ttl: int) -> list[Probe]:
    return [probe for trace in run.traces if ttl <= trace.extent for probe in trace.at(ttl)]


def _rtts(probes: Sequence[Probe]) -> list[float]:
    return [probe.rtt_s for probe in probes if probe.rtt_s is not None]


async def _path(run: _Run, params: Params, box: Box) -> tuple[Hop, ...]:
    named = list(dict.fromkeys(who for ttl in _ttls(run) for who in _all_routers(run, ttl)[:_MOST_ROUTERS]))
    named = named[:_MOST_NAMED]
    names = await _names(params.file, named, box)
    return tuple(_hop(run, ttl, names) for ttl in _ttls(run))


async def _names(file: str | None, addresses: Sequence[str], box: Box) -> Mapping[str, Name]:
    """In a thread, since the file may be long; what it said is remembered until an address is new or the file is."""
    if file is None:
        return {}
    names: Names = box.memory.setdefault("path_names", Names())
    try:
        return await asyncio.to_thread(names.of, Path(file), addresses)
    except OSError:
        box.mark("valid", "names_unreadable")
        return {}


def _hop(run: _Run, ttl: int, names: Mapping[str, Name]) -> Hop:
    probes = _probes(run, ttl)
    rtts = _rtts(probes)
    return Hop(
        ttl=ttl,
        routers=tuple(
            Router(address=who, asn=names[who].asn, name=names[who].name) if who in names else Router(address=who)
            for who in _all_routers(run, ttl)[:_MOST_ROUTERS]
        ),
        sent=len(probes),
        answered=sum(probe.answer is not None for probe in probes),
        rtt_min=min(rtts, default=None),
        rtt_p50=stats.percentile(rtts, 0.5),
        rtt_max=max(rtts, default=None),
    )


def _judge(run: _Run, findings: Findings[Result], to: Endpoint) -> None:
    """Raises ProbeError where no flow reached the target."""
    if any(trace.reached for trace in run.traces):
        return
    first = run.first
    stops = [probe for probe in first.probes if probe.answer == "stop" and probe.ttl == first.distance]
    if stops and stops[0].error:
        raise ProbeError(stops[0].error, f"{to}: stopped by {stops[0].by} at hop {first.extent}", findings.result())
    if not first.length:
        raise ProbeError("timeout", f"{to}: no answer from any hop", findings.result())
    last = next(iter(_routers(first, first.length)), "which does not say who it is")
    raise ProbeError("timeout", f"{to}: no answer beyond hop {first.length}, {last}", findings.result())


def traffic(params: Params, way: Way) -> Amount:
    """Where nobody is silent and the largest packet passes."""
    hops = min(way.hops, params.max_hops)
    largest = 1500 if params.mtu else 0
    sent = params.probes * (hops - 1) + max(params.probes, AHEAD + 1) + (params.flows - 1) * hops
    small = SMALL[way.version]
    up = sent * (14 + small) + (14 + largest if params.mtu else 0)
    return Amount(up, sent * way.icmp_error(small) + (way.icmp_error(largest) if params.mtu else 0), "about")
