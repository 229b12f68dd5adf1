"""What the agent and its DHCP child say to each other, as JSON."""

from msgspec import Struct

from fibrewatch.measurement import Error
from fibrewatch.results.dhcp import Offer
from fibrewatch.results.ping import Stamps


class Order(Struct, frozen=True, kw_only=True):
    """What to do.

    Attributes:
        client: Hardware address that the client claims, locally administered; 12 hexadecimal digits.
        expected_servers: An offer of one of these is taken before others.
        keep: The address is not given back; `child.give_back` does it later.
    """

    interface: str
    client: str
    full: bool
    timeout_s: float
    wait_s: float
    expected_servers: tuple[str, ...] = ()
    keep: bool = False


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it; with an error, what was learnt before.

    Attributes:
        chosen: Which of the offers was taken, or would have been.
        lease_time: From the first DISCOVER to the ACK, resent ones and the waiting for other servers included.
    """

    offers: tuple[Offer, ...] = ()
    chosen: int | None = None
    attempts: int = 0
    ack_time: float | None = None
    lease_time: float | None = None
    released: bool | None = None
    stamps: Stamps | None = None
    error: Error | None = None
    detail: str | None = None
