"""calibration: what the box itself can move, against a responder on its own network or itself; no line's figure."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port
from fibrewatch.metric import Metric

MODE = "exclusive"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of calibration.

    Attributes:
        duration_s: Of each direction, at most.
        ports: The responder's; for loopback the box starts a server of its own.
    """

    duration_s: Annotated[Duration, Meta(ge=1, le=60)] = field(default=5.0, name="duration")
    streams: Annotated[int, Meta(ge=1, le=64)] = 4
    ports: tuple[Port, Port] = (5201, 5204)


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The box's own ceilings.

    Attributes:
        reference: What it was measured against: a responder, or the box itself over loopback, which leaves the network
            adapter out.
    """

    reference: Literal["loopback", "responder"]
    ceiling_down: Annotated[
        float | None, Metric("bytes_per_second", "TCP payload per second that the box can receive.", "higher")
    ] = None
    ceiling_up: Annotated[
        float | None, Metric("bytes_per_second", "TCP payload per second that the box can send.", "higher")
    ] = None
