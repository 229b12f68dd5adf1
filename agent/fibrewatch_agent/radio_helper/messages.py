"""What is asked of the radio helper, and what it answers: one JSON value a line. Pure.

A fixed set of requests, each field bounded. Nothing of a request becomes a path, a program's argument or a line of a
configuration: interfaces and networks are names that the helper's own configuration must have.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from fibrewatch.measurement import Count, Error
from fibrewatch.results.wifi_onboarding import Address, Host, Interface, Limits, Network, Result, Url, numeric
from fibrewatch.ssid import octets

DEFAULT_SOCKET = "/run/fibrewatch-radio/helper.sock"
MOST_REQUEST_BYTES, MOST_ANSWER_BYTES = 8192, 65536
MOST_NAMES = 3

Frequency = Annotated[int, Meta(ge=2400, le=7200)]
"""Of a channel's middle, MHz."""
Width = Literal[20, 40, 80, 160]
"""Of a channel, MHz."""


class Scan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag="scan"):
    """Look for access points; who asked reads what the kernel has found, for which no privilege is needed.

    Attributes:
        passive: Listen only; else each channel is asked who is there.
        ssids: Asked for by name, as results write them, besides all that answer: hidden networks answer to nothing
            else. Not with `passive`; a radio takes four at a time, all's included.
        frequencies: Those channels only.
        flush: Forget first what was found earlier.
    """

    interface: Interface
    passive: bool = True
    ssids: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=MOST_NAMES)] = ()
    frequencies: Annotated[tuple[Frequency, ...], Meta(max_length=100)] = ()
    flush: bool = False
    timeout_s: Annotated[float, Meta(ge=0.5, le=60)] = 40.0

    def __post_init__(self) -> None:
        """Raises ValueError where fields exclude each other."""
        if self.passive and self.ssids:
            raise ValueError("a passive scan asks for no SSID")
        for each in self.ssids:
            octets(each)


class Monitor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag="monitor"):
    """Make a monitor interface on a radio's channel; it lasts until the connection is closed, `duration_s` at most.

    Attributes:
        center: Middle of the whole channel, MHz; needed where the width is above 20.
    """

    interface: Interface
    frequency: Frequency
    width: Width = 20
    center: Frequency | None = None
    duration_s: Annotated[float, Meta(ge=0.1, le=600)] = 60.0

    def __post_init__(self) -> None:
        """Raises ValueError where a wide channel has no middle, or one that it can't have."""
        if self.width > 20 and self.center is None:
            raise ValueError(f"a channel of {self.width} MHz needs its center")
        if self.center is not None and abs(self.center - self.frequency) > self.width // 2 - 10:
            raise ValueError(f"{self.frequency} MHz is not within {self.width} MHz around {self.center} MHz")


class Onboard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag="onboard"):
    """Become a client of a network, from the scan to the first byte, on a radio that is the helper's for the time.

    The fields are as in `fibrewatch.results.wifi_onboarding.Params`.

    Attributes:
        interface: None: the one that the configuration has for it.
    """

    network: Network
    interface: Interface | None = None
    fast: bool = True
    roam: bool = True
    check: Url | None = None
    check_text: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    url: Url | None = None
    name: Host | None = None
    resolver: Address | None = None
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        """Raises ValueError for a resolver that is no numeric address."""
        numeric(self.resolver)


Request = Scan | Monitor | Onboard


class Scanned(Struct, frozen=True, kw_only=True, tag_field="is", tag="scanned"):
    """The kernel has scanned.

    Attributes:
        duration: Seconds from the order to the kernel's word.
        aborted: It broke off: what it has found is not all.
        restarts: How often the radio was busy with another's scan first.
    """

    duration: float
    aborted: bool
    restarts: Count = 0


class Monitoring(Struct, frozen=True, kw_only=True, tag_field="is", tag="monitoring"):
    """The monitor interface is there."""

    interface: str


class Onboarded(Struct, frozen=True, kw_only=True, tag_field="is", tag="onboarded"):
    """How far it came; with an error, which is that of `result.failed_phase`."""

    result: Result
    error: Error | None = None
    detail: Annotated[str, Meta(max_length=400)] | None = None


class Refused(Struct, frozen=True, kw_only=True, tag_field="is", tag="refused"):
    """It is not done, or failed: a word of the fixed list, and a line for people."""

    error: Error
    detail: Annotated[str, Meta(max_length=400)]


Answer = Scanned | Monitoring | Onboarded | Refused
