"""The wire: topics, payloads, limits; version 1, JSON over MQTT.

Results change by addition only: unknown fields are ignored, unknown probes decode with their result as plain data.
"""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from fibrewatch.errors import WireError
from fibrewatch.measurement import AnyMeasurement, Conditions, Count, Label, Measurement, misspelt
from fibrewatch.results import PROBES, Mode, ProbeType

ROOT = "fibrewatch/v1"
MAX_PAYLOAD_BYTES = 256 * 1024
MAX_MEASUREMENT_BYTES = 32 * 1024
MAX_BATCH = 500
MAX_SEQUENCE = 2**53
ID_PATTERN = r"[a-z0-9-]{1,20}"
STREAM_PATTERN = r"\A[0-9a-f]{16}\Z"

UpChannel = Literal["results", "status", "inventory", "renew"]
DownChannel = Literal["ack", "config", "run", "renew"]

StreamId = Annotated[str, Meta(pattern=STREAM_PATTERN)]
Sequence = Annotated[int, Meta(ge=1, le=MAX_SEQUENCE)]


class AgentId(NamedTuple):
    """The three ids of a box; `str()` gives territory/site/agent, its certificate's common name as well."""

    territory: str
    site: str
    agent: str

    def __str__(self) -> str:
        return "/".join(self)


# ---- topics


_UP = re.compile(rf"{ROOT}/({ID_PATTERN})/({ID_PATTERN})/({ID_PATTERN})/up/([a-z]{{1,20}})")
_AGENT = re.compile(rf"({ID_PATTERN})/({ID_PATTERN})/({ID_PATTERN})")


def agent_id(text: str) -> AgentId:
    """Parses territory/site/agent.

    Raises:
        WireError: reason "ids".
    """
    match = _AGENT.fullmatch(text)
    if match is None:
        raise WireError("ids", f"{text!r} is not TERRITORY/SITE/AGENT of a-z, 0-9, - (20 characters each at most)")
    return AgentId(*match.groups())


def up_topic(agent: AgentId, channel: UpChannel) -> str:
    """Where a box publishes."""
    return f"{ROOT}/{agent}/up/{channel}"


def down_topic(agent: AgentId, channel: DownChannel) -> str:
    """Where a box listens."""
    return f"{ROOT}/{agent}/down/{channel}"


def collector_topic(territory: str) -> str:
    """The collector's own retained status and last will."""
    return f"{ROOT}/{territory}/collector"


UP_FILTER = f"{ROOT}/+/+/+/up/#"
"""What a collector subscribes to."""


def parse_up_topic(topic: str) -> tuple[AgentId, str]:
    """The ids and the channel of a topic that a box published on.

    Raises:
        WireError: reason "topic".
    """
    match = _UP.fullmatch(topic)
    if match is None:
        raise WireError("topic", f"{topic[:120]!r} is not of the contract")
    territory, site, agent, channel = match.groups()
    return AgentId(territory, site, agent), channel


# ---- payloads


class Batch(Struct, frozen=True, kw_only=True):
    """Channel results: consecutive measurements of one stream.

    Attributes:
        stream: Random id, new at each start of an agent.
        first: Sequence number of measurements[0]; a stream counts 1, 2, 3 ...
        oldest: The lowest number of this stream that the box still holds: what lies below and never came is lost.
        measurements: Each is decoded on its own, so that a bad one spoils no other.
    """

    stream: StreamId
    first: Sequence
    oldest: Sequence
    measurements: Annotated[list[Raw], Meta(max_length=MAX_BATCH)]


class Ack(Struct, frozen=True, kw_only=True):
    """Channel ack: every number of the stream up to and with `through` is settled; the box may forget it."""

    stream: StreamId
    through: Annotated[int, Meta(ge=0, le=MAX_SEQUENCE)]


class SpoolState(Struct, frozen=True, kw_only=True):
    """How full a box's spool is.

    Attributes:
        state: "full" when the disk refuses; then results wait in memory.
        depth: Measurements not yet acknowledged.
        dropped: Measurements dropped since the agent's start.
    """

    state: Literal["ok", "full"]
    depth: Count
    size_bytes: Count
    dropped: Count
    oldest_at: datetime | None = None


class LostTest(Struct, frozen=True, kw_only=True):
    """A test that does not hear its target at present."""

    test: Label
    target: Label


class Status(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Channel status, retained; the last will is one with state "offline".

    Attributes:
        at: When it was written, by the box's own clock; None in the last will.
        boot: As in Measurement.
        conditions: The box's state now.
        lost_targets: Names of the targets that do not answer at present; published at once when one is lost or back.
        lost_tests: Which tests say so: over another uplink the same target may answer.
        certificate_until: When the certificate that the box shows to the broker expires.
        config_error: Why a reload was refused; None when the file in force is the newest.
    """

    state: Literal["online", "offline"]
    version: Annotated[str, Meta(max_length=40)]
    boot: Annotated[str, Meta(max_length=8)]
    at: Annotated[datetime, Meta(tz=True)] | None = None
    started_at: Annotated[datetime, Meta(tz=True)] | None = None
    conditions: Conditions = Conditions()
    spool: SpoolState | None = None
    lost_targets: Annotated[tuple[Label, ...], Meta(max_length=200)] = ()
    lost_tests: Annotated[tuple[LostTest, ...], Meta(max_length=500)] = ()
    certificate_until: Annotated[datetime, Meta(tz=True)] | None = None
    config_error: Annotated[str, Meta(max_length=500)] | None = None


class Interface(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A network interface of a box; link_speed in bytes per second."""

    name: Label
    kind: Literal["wired", "wireless", "mobile", "loopback", "other"] = "other"
    up: bool = False
    link_speed: float | None = None
    addresses: Annotated[tuple[str, ...], Meta(max_length=20)] = ()


class ScheduledTest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A test that the box runs: what the collector may expect to hear, and how often.

    Attributes:
        interval_s: For windows, between two samples: from it follows how many make a minute. None: one second.
    """

    test: Label
    probe: Label
    mode: Mode
    every_s: float
    interval_s: float | None = None
    target: Label | None = None
    interface: Label | None = None
    family: Literal[4, 6] | None = None


class Inventory(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Channel inventory, retained: what a box has and what it was told to do."""

    version: Annotated[str, Meta(max_length=40)]
    interfaces: Annotated[tuple[Interface, ...], Meta(max_length=50)] = ()
    capabilities: Annotated[tuple[Label, ...], Meta(max_length=50)] = ()
    schedule: Annotated[tuple[ScheduledTest, ...], Meta(max_length=500)] = ()


class CollectorStatus(Struct, frozen=True, kw_only=True):
    """The collector's retained status: boxes pause resending unless it is online."""

    state: Literal["online", "degraded", "offline"]
    version: str
    at: datetime | None = None


# ---- encode and decode

P = TypeVar("P", bound=Struct)

_encoder = msgspec.json.Encoder()
_batch_decoder = msgspec.json.Decoder(Batch)
_decoders: dict[type[Struct], msgspec.json.Decoder[Any]] = {}


class _Peek(Struct):
    probe: str


_peek_decoder = msgspec.json.Decoder(_Peek)


def measurement_type(probe: ProbeType) -> Any:
    """`Measurement[Result]` of one probe, for decoding and for the JSON Schema."""
    return Measurement[probe.result]  # type: ignore[name-defined]


_measurement_decoders: dict[str, msgspec.json.Decoder[AnyMeasurement]] = {}
_unknown_decoder: msgspec.json.Decoder[AnyMeasurement] = msgspec.json.Decoder(Measurement[Any])


def encode(payload: Struct) -> bytes:
    """The JSON of a payload; NaN and infinities become null."""
    return _encoder.encode(payload)


def decode(payload: bytes, kind: type[P]) -> P:
    """Decodes a status, inventory, ack or collector status.

    Raises:
        WireError: reason "oversized" or "malformed".
    """
    _check_size(payload, MAX_PAYLOAD_BYTES)
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        decoded: P = decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise WireError("malformed", str(e)) from e
    return decoded


def decode_measurement(raw: bytes | Raw) -> AnyMeasurement:
    """Decodes one measurement; a probe that the registry doesn't know keeps its result as plain data.

    Raises:
        WireError: reason "oversized" or "malformed".
    """
    _check_size(raw, MAX_MEASUREMENT_BYTES)
    try:
        str(
            raw, "utf-8"
        )  # fields that we don't know are skipped unread, but whoever asks for the measurement gets them
        probe = _peek_decoder.decode(raw).probe
        measurement = (_measurement_decoders.get(probe) or _decoder_for(probe)).decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise WireError("malformed", str(e)) from e
    if name := misspelt(measurement):
        raise WireError("malformed", f"`$.{name}` is not spelt as the contract says")
    return measurement


def _decoder_for(probe: str) -> msgspec.json.Decoder[AnyMeasurement]:
    """Made when first needed: each costs a box some 50 KiB."""
    known = PROBES.get(probe)
    if known is None:
        return _unknown_decoder
    return _measurement_decoders.setdefault(probe, msgspec.json.Decoder(measurement_type(known)))


def decode_batch(payload: bytes) -> Batch:
    """Decodes a batch; its measurements stay raw. What is not JSON as a whole is taken apart, see `_salvage`.

    Raises:
        WireError: reason "oversized" or "malformed"; then not even stream and number are known.
    """
    _check_size(payload, MAX_PAYLOAD_BYTES)
    try:
        return _batch_decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        batch = _salvage(payload)
        if batch is None:
            raise WireError("malformed", str(e)) from e
        return batch


_HEADER = re.compile(rb'\{"stream":"([0-9a-f]{16})","first":([1-9]\d{0,15}),"oldest":([1-9]\d{0,15}),"measurements":\[')
_lenient = json.JSONDecoder()


def _salvage(payload: bytes) -> Batch | None:
    """The measurements before the first one that is broken, and that one: it will be refused and thereby settled.

    What follows a break is left for the box to send again, so that one poisoned measurement blocks nothing.
    Python's own parser is used because it takes NaN and Infinity, and so finds where such a measurement ends.
    """
    header = _HEADER.match(payload)
    if header is None:
        return None
    text = payload[header.end() :].decode("utf-8", "surrogateescape")
    items, broken = _split(text)
    if not items and not broken:
        return None
    stream, first, oldest = header.groups()
    raws = [Raw(item.encode("utf-8", "surrogateescape")) for item in [*items, *broken]]
    return Batch(stream=stream.decode(), first=int(first), oldest=int(oldest), measurements=raws[:MAX_BATCH])


def _split(text: str) -> tuple[list[str], list[str]]:
    """JSON values between commas up to the end of the list: those that parse, then the rest if one does not."""
    items: list[str] = []
    at = 0
    while at < len(text) and len(items) < MAX_BATCH:
        try:
            _, end = _lenient.raw_decode(text, at)
        except (ValueError, RecursionError):
            return items, [text[at : at + MAX_MEASUREMENT_BYTES]]
        items.append(text[at:end])
        if text[end : end + 1] != ",":
            break
        at = end + 1
    return items, []


def _check_size(payload: bytes | Raw, limit: int) -> None:
    size = len(memoryview(payload))
    if size > limit:
        raise WireError("oversized", f"{size} bytes, {limit} at most")
