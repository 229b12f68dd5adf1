"""What the agent and the child that listens say to each other, as JSON."""

from msgspec import Struct

from fibrewatch.measurement import Error
from fibrewatch.results.wifi_air import Result


class Order(Struct, frozen=True, kw_only=True):
    """What to listen to: a monitor interface that is up and tuned; `ssid` and `bssid` as Params."""

    interface: str
    duration_s: float
    ssid: str | None = None
    bssid: str | None = None


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it; `began`: when listening did, UTC seconds since 1970."""

    began: float | None = None
    result: Result | None = None
    error: Error | None = None
    detail: str | None = None
