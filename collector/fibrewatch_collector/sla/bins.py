"""One minute of one uplink: available, unavailable or not measured, and why (DESIGN: SLA; after ITU-T Y.1540's
availability function). Pure: the same for bins, for restated bins and for what is seen right now.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from fibrewatch.measurement import UNDATED, AnyMeasurement, Role
from fibrewatch.results import PROBES
from fibrewatch.wire import AgentId
from fibrewatch_collector.store import BinState

VERSION = 2
"""Of these formulas; it goes up when one of them changes."""
MINUTE_S = 60
C1 = 0.20
"""Loss ratio above which a target counts as lost."""
ENOUGH = 0.75
"""Share of a minute's samples that must have been sent: 45 of 60."""
INTERVAL_S = 1.0
"""Between samples, where no schedule says another."""
TARGETS = 2
"""So many targets must be lost before the line is."""
ACCUSERS = 3
"""So many sites must miss a target, with others answering, before the target is blamed."""

SHARED = 3
"""So many sites of one operator must be cut off at once, more than are not, before its network is blamed."""

Cause = Literal["access", "operator", "lan", "target", "unknown", "silent", "samples", "targets", "probe"]
"""access: nothing beyond the gateway answered. operator: the access target answered, nothing behind it did.
lan: not even the gateway answered. target: it, not the line; with A, one of several did not answer.
unknown: lost, and no gateway was measured. silent: no samples at all. samples: too few of them.
targets: too few of them to judge by. probe: no samples, yet others reach the box: its line carries packets."""


OF_OPERATOR: frozenset[str] = frozenset({"access", "operator"})
"""Causes of U for which the operator answers: every other U is an N in figures."""


class Flow(NamedTuple):
    """What a box saw of a target over one uplink, in a stretch with enough samples."""

    agent: AgentId
    target: str
    role: Role
    answers: bool
    peer: str | None = None
    """The box of ours that stands at the target, territory/site/agent."""


class Verdict(NamedTuple):
    """An uplink's minute."""

    state: BinState
    cause: Cause | None


Vantage = tuple[str, str, str]
"""Territory, site, uplink."""


class Outside(NamedTuple):
    """What is known of an uplink's boxes by others than themselves, over other lines.

    Attributes:
        heard: Boxes that somebody reached.
        missed: Boxes that nobody reached of those who tried, all of whom reached somebody else.
        alive: The site's boxes that measured over another uplink: there is power, and they run.
    """

    heard: frozenset[AgentId] = frozenset()
    missed: frozenset[AgentId] = frozenset()
    alive: frozenset[AgentId] = frozenset()

    @property
    def cut(self) -> bool:
        """Whether the uplink is cut, though none of its own boxes says so.

        A box that died is missed as well. So the site must have power, and the missed box itself be seen to run, or
        two of them be missed at once.
        """
        return not self.heard and bool(self.alive) and bool(self.missed & self.alive or len(self.missed) >= TARGETS)


ALONE = Outside()
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


def enough(sent: int, interval_s: float, length_s: float = MINUTE_S) -> bool:
    """Whether a minute's samples, one each `interval_s`, were sent well enough to judge it; or those of a window."""
    return sent > 0 and sent >= ENOUGH * length_s / interval_s


def answers(sent: int, lost: int) -> bool:
    """Whether a target counts as answering."""
    return lost <= C1 * sent


def judge(flows: Iterable[Flow], dead: frozenset[str] = NOBODY, outside: Outside = ALONE) -> Verdict:
    """An uplink's minute.

    Args:
        flows: All boxes' views over this uplink.
        dead: Targets that are themselves to blame, see `dead_targets`.
        outside: What others see of it, see `outside_views`.
    """
    flows = list(flows)
    if not flows:
        return unseen(outside, "samples")
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
    return Verdict("U", _whose(seen, outside))


def _whose(seen: Iterable[Flow], outside: Outside) -> Cause:
    """Whose fault it is that nothing beyond the gateway is heard."""
    if outside.heard:  # somebody came in over the line: it is not the line that keeps the box from going out
        return "operator"
    return "access" if any(flow.role == "gateway" for flow in seen) else "unknown"


def unseen(outside: Outside, cause: Cause = "silent") -> Verdict:
    """A minute of which an uplink's own boxes say nothing."""
    if outside.cut:
        return Verdict("U", "access")
    return Verdict("N", "probe" if outside.heard else cause)


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


def outside_views(
    views: Mapping[Vantage, Iterable[Flow]], home: Callable[[AgentId], Vantage | None]
) -> dict[Vantage, Outside]:
    """What is seen of each uplink by others, and over other lines.

    Args:
        views: All boxes' views.
        home: The uplink over which a box is reached; None where it is not known.
    """
    heard: dict[Vantage, set[AgentId]] = {}
    missed: dict[Vantage, set[AgentId]] = {}
    for vantage, flows in views.items():
        for box, answered in _glimpses(list(flows)):
            at = home(box)
            if at is not None and at != vantage:
                (heard if answered else missed).setdefault(at, set()).add(box)
    running = {vantage: {flow.agent for flow in flows} for vantage, flows in views.items()}
    return {
        at: Outside(
            heard=frozenset(heard.get(at, ())),
            missed=frozenset(missed.get(at, set()) - heard.get(at, set())),
            alive=frozenset(
                box for vantage, boxes in running.items() if vantage[:2] == at[:2] and vantage != at for box in boxes
            ),
        )
        for at in heard.keys() | missed.keys()
    }


def seen_sites(views: Mapping[Vantage, Iterable[Flow]]) -> set[tuple[str, str]]:
    """The sites of the boxes that were looked at."""
    boxes = [flow.peer.split("/") for flows in views.values() for flow in flows if flow.peer is not None]
    return {(territory, site) for territory, site, _ in boxes}


def _glimpses(flows: Sequence[Flow]) -> Iterator[tuple[AgentId, bool]]:
    """Boxes that a line's boxes looked at, and whether they answered; a miss counts where another far target did."""
    for flow in flows:
        if flow.peer is None:
            continue
        others = [each for each in flows if each.agent == flow.agent and each.target != flow.target]
        if flow.answers or any(each.answers and each.role not in ("gateway", "access") for each in others):
            yield AgentId(*flow.peer.split("/")), flow.answers


def shared_faults(verdicts: Mapping[Vantage, Verdict], operator_of: Mapping[Vantage, str]) -> dict[Vantage, Verdict]:
    """A cut of many of an operator's lines at once is its network's fault: which of the two counts is the same."""
    cut: dict[str, list[Vantage]] = {}
    fine: Counter[str] = Counter()
    for vantage, verdict in verdicts.items():
        operator = operator_of.get(vantage)
        if operator is not None and verdict.state == "U" and verdict.cause in OF_OPERATOR:
            cut.setdefault(operator, []).append(vantage)
        elif operator is not None and verdict.state == "A":
            fine[operator] += 1
    blamed = {
        vantage
        for operator, lines in cut.items()
        if len({line[:2] for line in lines}) >= SHARED and len(lines) > fine[operator]
        for vantage in lines
    }
    return {vantage: Verdict("U", "operator") if vantage in blamed else each for vantage, each in verdicts.items()}


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
