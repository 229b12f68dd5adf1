"""The series that tell both ends of what is measured between two boxes. Pure."""

from collections.abc import Mapping

from fibrewatch.wire import AgentId
from fibrewatch_collector.families import BOX_LABELS, labels_text
from fibrewatch_collector.mesh import Mesh, target_name

FAMILY = "fibrewatch_mesh_pair_info"
HELP = "Which sites a test between two boxes is from and to, for what it measures forward and backward."
LABELS = (*BOX_LABELS, "target", "peer_territory", "peer_site", "peer_agent", "direction", "from", "to")


Peers = Mapping[tuple[AgentId, str], AgentId]
"""A box and its name for a target → the box that stands there; one only, so that the info series can be joined."""


def planned(mesh: Mesh) -> Peers:
    """What the inventory wants measured, heard of or not."""
    return {(by, target_name(peer)): peer for _, _, by, peer in mesh.runs()}


def info(pairs: Peers) -> Mapping[str, float]:
    """Two series for each: forward is from the box to its peer, backward from the peer to it.

    Joined to a probe's series on territory, site, agent and target they label it by `from` and `to`, so that one
    stamp measurement fills two cells of a matrix; see docs/mesh.md.
    """
    found: dict[str, float] = {}
    for (agent, target), peer in pairs.items():
        ends = {"target": target, **{f"peer_{name}": value for name, value in peer._asdict().items()}}
        here, there = (f"{box.territory}/{box.site}" for box in (agent, peer))
        for direction, a, b in (("forward", here, there), ("backward", there, here)):
            labels = {**agent._asdict(), **ends, "direction": direction, "from": a, "to": b}
            found[labels_text(labels)] = 1
    return found
