"""budget: written by the agent itself: what it moved over an uplink this month, and how it paces its tests by that."""

from typing import Annotated

from msgspec import Struct

from fibrewatch.measurement import Count
from fibrewatch.metric import Metric

MODE = "event"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """budget has no settings: it is never scheduled."""


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An uplink's month so far.

    Attributes:
        uplink: Its name in the box's config.
        month: "2026-11", by the site's clock.
    """

    uplink: str
    month: str
    used: Annotated[Count, Metric("bytes", "Moved over the uplink this month, both directions, headers and all.")]
    budget: Annotated[Count, Metric("bytes", "What may be moved in a month.")]
    period_factor: Annotated[
        float | None,
        Metric("ratio", "By what heavy tests' periods are multiplied; none while they rest.", "lower"),
    ] = None
    size_factor: Annotated[
        float | None, Metric("ratio", "Share of its usual bytes that a heavy test may move.", "higher")
    ] = None
