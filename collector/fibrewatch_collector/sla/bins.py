"""One minute of one uplink: available, unavailable or not measured, and why (DESIGN: SLA; after ITU-T Y.1540's
availability function). Pure: the same for bins, for restated bins and for what is seen right now.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from fibrewatch.measurement import UNDATED, AnyMeasurement, Role
from fibrewatch.results import PROBES
from fibrewatch.wire import AgentId
from fibrewatch_collector.store import BinState

VERSION = 1
"""Of these formulas; it goes up when one of them changes."""
MINUTE_S = 60
C1 = 0.20
"""Loss ratio above which a target counts as lost."""
ENOUGH = 0.75
"""Share of a minute's samples that must have been sent: 45 of 60."""
TARGETS = 2
"""So many targets must be lost before the line is."""
ACCUSERS = 3
"""So many sites must miss a target, with others answering, before the target is blamed."""

Cause = Literal["access", "operator", "lan", "target", "unknown", "silent", "samples", "targets"]
"""access: nothing beyond the gateway answered. operator: the access target answered, nothing behind it did.
lan: not even the gateway answered. target: it, not the line; with A, one of several did not answer.
unknown: lost, and no gateway was measured. silent: no samples at all. samples: too few of them.
targets: too few of them to judge by."""


class Flow(NamedTuple):
    """What a box saw of a target over one uplink, in a stretch with enough samples."""

    agent: AgentId
    target: str
    role: Role
    answers: bool


class Verdict(NamedTuple):
    """An uplink's minute."""

    state: BinState
    cause: Cause | None


Vantage = tuple[str, str, str]
"""Territory, site, uplink."""
NOBODY: frozenset[str] = frozenset()
_WINDOWS = frozenset(name for name, probe in PROBES.items() if probe.mode == "window")


def samples(run: AnyMeasurement) -> tuple[int, int] | None:
    """Sent and lost of a window that tells of the line; None for anything else: undated, say, or the box's own fault"""
    if run.probe not in _WINDOWS or run.result is None or run.verdict == "invalid" or UNDATED in run.reasons:
        return None
    sent, lost = run.result.sent, run.result.lost
    return (sent, lost) if sent else None


def minute_of(at: float) -> int:
    """The start of the UTC minute that holds `at`; seconds since 1970."""
    return int(at // MINUTE_S) * MINUTE_S


def enough(sent: int, interval_s: float) -> bool:
    """Whether a minute's samples, one each `interval_s`, were sent well enough to judge it."""
    return sent > 0 and sent >= ENOUGH * MINUTE_S / interval_s


def answers(sent: int, lost: int) -> bool:
    """Whether a target counts as answering."""
    return lost <= C1 * sent


def judge(flows: Iterable[Flow], dead: frozenset[str] = NOBODY) -> Verdict:
    """An uplink's minute.

    Args:
        flows: All boxes' views over this uplink.
        dead: Targets that are themselves to blame, see `dead_targets`.
    """
    flows = list(flows)
    if not flows:
        return Verdict("N", "samples")
    cut_off = _cut_off(flows)
    seen = [flow for flow in flows if flow.agent not in cut_off]
    beyond = _beyond(seen)
    if not beyond:
        return Verdict("N", "lan" if cut_off else "targets")
    if all(beyond.values()):
        return Verdict("A", None)
    considered = {target: answered for target, answered in beyond.items() if answered or target not in dead}
    if any(considered.values()):
        far = [answered for target, answered in considered.items() if target in _far(seen)]
        behind_access = len(far) >= TARGETS and not any(far)
        return Verdict("U", "operator") if behind_access else Verdict("A", "target")
    if len(considered) < TARGETS:
        return Verdict("N", "target" if len(beyond) >= TARGETS else "targets")
    return Verdict("U", "access" if any(flow.role == "gateway" for flow in seen) else "unknown")


def dead_targets(views: Mapping[Vantage, Iterable[Flow]]) -> frozenset[str]:
    """Targets that more sites miss, while they hear others, than hear them; at least three sites.

    Only what lies beyond the access lines is shared between sites, and so can be known by its name.
    """
    missed: dict[str, set[tuple[str, str]]] = {}
    heard: dict[str, set[tuple[str, str]]] = {}
    for (territory, site, _), flows in views.items():
        seen = list(flows)
        beyond, far = _beyond(seen), _far(seen)
        answering = [target for target in far if beyond[target]]
        for target in far:
            if beyond[target]:
                heard.setdefault(target, set()).add((territory, site))
            elif answering:
                missed.setdefault(target, set()).add((territory, site))
    return frozenset(
        target
        for target, sites in missed.items()
        if len(sites) >= ACCUSERS and len(sites) > len(heard.get(target, set()))
    )


def totals(states: Iterable[BinState]) -> Mapping[BinState, int]:
    """How many minutes of each state; together they are all minutes."""
    counts = Counter(states)
    return {state: counts[state] for state in ("A", "U", "N")}


def _cut_off(flows: list[Flow]) -> set[AgentId]:
    """Boxes that hear nothing, not even their gateway: the fault is before the line."""
    with_gateway = {flow.agent for flow in flows if flow.role == "gateway"}
    return with_gateway - {flow.agent for flow in flows if flow.answers}


def _beyond(flows: Iterable[Flow]) -> dict[str, bool]:
    """Each target beyond the gateway, and whether anybody heard it."""
    heard: dict[str, bool] = {}
    for flow in flows:
        if flow.role != "gateway":
            heard[flow.target] = heard.get(flow.target, False) or flow.answers
    return heard


def _far(flows: Iterable[Flow]) -> set[str]:
    """Targets beyond the access line."""
    return {flow.target for flow in flows if flow.role not in ("gateway", "access")}
