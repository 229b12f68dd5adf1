"""One measurement in the lab: the line it is made over, and what is measured."""

from typing import Any

from msgspec import Struct, field


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line box –– r1 –– r2 –– r3 –– far, and one run of a probe over it.

    Netem stands on the routers' interfaces only: a packet of the box's own is stamped behind the box's queue.

    Attributes:
        probe: Runs once unseen before, so that all it needs is in memory.
        netem: By router and interface ("r2 out" leads to the far end, "r2 in" to the box), as tc(8) takes it.
        count: Packets, of ping and stamp.
        order: For the probe's driver in tests/support.
    """

    name: str
    probe: str
    netem: dict[str, str] = {}
    count: int = 0
    order: dict[str, Any] = field(default_factory=dict)

    @property
    def window_s(self) -> float:
        """How long packets are sent."""
        return self.count * INTERVAL_S


class Plan(Struct, frozen=True, kw_only=True):
    """What a machine does after its start."""

    scenarios: tuple[Scenario, ...]


INTERVAL_S = 0.01
STAMP_PORT, DNS_PORT, HTTP_PORT, HTTPS_PORT = 862, 53, 80, 443
CLOCK_BOUND_S = 1e-6
"""One machine has one clock; both ends are told that theirs is good."""
SERVER_S, BODY_S = 0.015, 0.025
"""What the web server takes before its first byte, and from there to the last."""
SERVER_NAME = "truth.example"
