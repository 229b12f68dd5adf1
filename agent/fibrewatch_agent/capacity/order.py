"""What the agent or the responder and its child for a capacity test say to each other, as JSON."""

from typing import Literal

from msgspec import Struct

from fibrewatch.measurement import Error
from fibrewatch_agent.capacity.messages import End, Feedback, Hello

ORDER = "FIBREWATCH_ORDER"
"""The order's place in the environment: it holds the slot's token."""
READY, CLAIMED = "ready", "claimed"


class Order(Struct, frozen=True, kw_only=True):
    """What to do.

    Attributes:
        hello: The box's part: what it asks for. None: the responder's.
        host, port: The responder's; where the box goes, or what the responder binds to.
        peer: Whom the responder serves; direction, duration_s, most: what was granted.
    """

    token: str
    host: str
    port: int
    interface: str | None = None
    hello: Hello | None = None
    timeout_s: float = 3.0
    peer: str = ""
    direction: Literal["down", "up"] = "down"
    duration_s: float = 0.0
    most: float = 0.0


class Outcome(Struct, kw_only=True, omit_defaults=True):
    """What came of it; with an error, what was seen before.

    Attributes:
        moved: Bytes of IP that were sent, or came.
        began, ended: When packets flowed, by the monotonic clock of this end.
    """

    reports: list[Feedback] = []
    moved: int | None = None
    end: End | None = None
    began: float | None = None
    ended: float | None = None
    sender_cpu: float | None = None
    error: Error | None = None
    detail: str | None = None
