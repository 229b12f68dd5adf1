"""The series that tell both ends of what is measured between two boxes. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fibrewatch.wire import AgentId
from fibrewatch_collector.families import labels_text
from fibrewatch_collector.mesh import Mesh, target_name

FAMILY = "fibrewatch_mesh_pair_info"
HELP = "Which sites a test between two boxes is from and to, for what it measures forward and backward."


class Ends(NamedTuple):
    """A box, the name that it has for a target, and the box that stands there."""

    agent: AgentId
    target: str
    peer: AgentId


def planned(mesh: Mesh) -> set[Ends]:
    """What the inventory wants measured, heard of or not."""
    return {Ends(by, target_name(peer), peer) for _, _, by, peer in mesh.runs()}


def info(pairs: Iterable[Ends]) -> Mapping[str, float]:
    """Two series for each: forward is from the box to its peer, backward from the peer to it.

    Joined to a probe's series on territory, site, agent and target they label it by `from` and `to`, so that one
    stamp measurement fills two cells of a matrix; see docs/mesh.md.
    """
    found: dict[str, float] = {}
    for pair in pairs:
        ends = {"target": pair.target, **{f"peer_{name}": value for name, value in pair.peer._asdict().items()}}
        here, there = (f"{box.territory}/{box.site}" for box in (pair.agent, pair.peer))
        for direction, a, b in (("forward", here, there), ("backward", there, here)):
            labels = {**pair.agent._asdict(), **ends, "direction": direction, "from": a, "to": b}
            found[labels_text(labels)] = 1
    return found
