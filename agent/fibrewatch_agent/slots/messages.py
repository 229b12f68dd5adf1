"""What boxes and responder say to each other about slots: the bodies of the control API, in JSON."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

SLOTS = "/v1/slots"
LONGEST_WAIT_S = 25.0
"""How long the responder holds a question whose slot is not free yet."""

Method = Literal["tcp", "udp-capacity", "http"]
Priority = Literal["on-demand", "scheduled", "background"]
Reason = Literal["site", "capacity"]
"""What is busy: the box's own site, for which another responder is no way out, or the responder."""
RequestId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{8,64}\Z")]
Seconds = Annotated[float, Meta(ge=0, le=86400)]
Secret = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]


class Wish(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """POST /v1/slots: one test that a box would like to make.

    Attributes:
        request: Chosen by the box; asking again with it is the same question, and never a second slot.
        duration: Seconds that data flow, warm-up included.
        prepare: Seconds that the box takes before data flow: measuring the idle line, say.
        rate: Expected, bytes per second; None: not known, so it may need all that the responder has.
        wait: Seconds that the answer may take when no slot is free; who does not wait is only served at once or not.
    """

    request: RequestId
    direction: Literal["down", "up"]
    duration: Annotated[float, Meta(gt=0, le=600)]
    method: Method = "tcp"
    streams: Annotated[int, Meta(ge=1, le=128)] = 1
    prepare: Annotated[float, Meta(ge=0, le=60)] = 0.0
    rate: Annotated[float, Meta(gt=0, le=1e12)] | None = None
    priority: Priority = "scheduled"
    wait: Annotated[float, Meta(ge=0, le=LONGEST_WAIT_S)] = LONGEST_WAIT_S


class Granted(Struct, frozen=True, kw_only=True):
    """201: the slot is the box's from now on, at the address that it asked.

    Attributes:
        id: Names it in DELETE, and is the user of iperf3's authentication.
        starts_at: By the responder's clock; starts_in: seconds from this answer.
        claim_within: Seconds after the start in which the test must have begun.
        ends_within: Seconds after the start at which what still runs is killed.
        token: The password; good for this slot only.
        public_key: PEM that the password is encrypted for.
        capacity: The responder's own, bytes per second: more than that can't be measured against it.
    """

    id: Secret
    starts_at: Annotated[datetime, Meta(tz=True)]
    starts_in: Seconds
    claim_within: Seconds
    ends_within: Seconds
    port: Annotated[int, Meta(ge=1, le=65535)]
    token: Secret
    public_key: Annotated[str, Meta(pattern=r"\A-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\n -]{1,4000}\Z")]
    capacity: Annotated[float, Meta(gt=0)]


class Queued(Struct, frozen=True, kw_only=True):
    """202: ask again with the same request to keep the place.

    Attributes:
        place: 1 is next.
        expected_in: Seconds until the slot, if those before it use theirs up.
        retry_after: Seconds after which to ask again; the place is kept for `kept` seconds.
        reason: What it waits for; None from responders that don't tell.
    """

    id: Secret
    place: Annotated[int, Meta(ge=1)]
    expected_in: Annotated[float, Meta(ge=0)]
    retry_after: Seconds
    kept: Seconds
    reason: Reason | None = None


class Closed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """200 to DELETE: what the responder saw of the slot; None where it can't tell.

    Attributes:
        ending: How it ended.
        moved: Bytes.
        cpu: Cores that its server used while the test ran; cores: as many as it could have used.
        waited: Cores that it wanted besides and did not get, since others had them.
        busy: Share of all the responder's cores that were busy meanwhile.
        softirq: Share of the time that its busiest core spent on packets.
        share: Bytes per second of its capacity that were nobody else's, at the least.
    """

    ending: Annotated[str, Meta(max_length=40)] | None = None
    moved: Annotated[float, Meta(ge=0)] | None = None
    cpu: Annotated[float, Meta(ge=0, le=4096)] | None = None
    cores: Annotated[float, Meta(ge=1, le=4096)] | None = None
    waited: Annotated[float, Meta(ge=0, le=4096)] | None = None
    busy: Annotated[float, Meta(ge=0, le=1)] | None = None
    softirq: Annotated[float, Meta(ge=0, le=1)] | None = None
    share: Annotated[float, Meta(gt=0)] | None = None


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """400 and above: why not; `retry_after` in seconds where later can help, `reason` where something is busy."""

    error: Annotated[str, Meta(max_length=40)]
    detail: Annotated[str, Meta(max_length=500)]
    retry_after: Seconds | None = None
    reason: Reason | None = None


class Load(Struct, frozen=True, kw_only=True):
    """GET /v1/status: bytes per second that the responder has and that running slots have taken, and how many wait."""

    capacity: float
    taken: float
    running: int
    queued: int
    methods: tuple[Method, ...]
