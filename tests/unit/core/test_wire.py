"""The wire: golden payloads, topics, limits, and batches in which something is broken."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from fibrewatch import schema, wire
from fibrewatch.errors import WireError
from fibrewatch.results import PROBES
from tests.wire import make_golden

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "wire" / "v1"
KINDS: dict[str, type[Struct]] = {
    "ack": wire.Ack,
    "status-online": wire.Status,
    "status-will": wire.Status,
    "inventory": wire.Inventory,
    "collector-status": wire.CollectorStatus,
}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().rstrip(b"\n")


def batch_of(*items: bytes, first: int = 1) -> bytes:
    header = f'{{"stream":"{make_golden.STREAM}","first":{first},"oldest":1,"measurements":['
    return header.encode() + b",".join(items) + b"]}"


@pytest.mark.parametrize("name", sorted(make_golden.payloads()))
def test_golden_payloads_are_what_the_code_writes(name: str) -> None:
    assert (GOLDEN / name).read_bytes() == make_golden.payloads()[name] + b"\n"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_golden_payloads_decode_and_encode_to_the_same_bytes(name: str) -> None:
    assert wire.encode(wire.decode(golden(name), KINDS[name])) == golden(name)


MEASUREMENTS = {"ping": "ping", "throughput": "throughput", "spool": "spool", "mesh": "stamp"} | {
    probe: probe for probe in make_golden.PROBES
}
"""Golden measurement → its probe."""


@pytest.mark.parametrize("name", [*MEASUREMENTS, "failed"])
def test_golden_measurements_decode_and_encode_to_the_same_bytes(name: str) -> None:
    assert wire.encode(wire.decode_measurement(golden(f"measurement-{name}"))) == golden(f"measurement-{name}")


def test_a_batch_keeps_the_very_bytes_of_its_measurements() -> None:
    batch = wire.decode_batch(golden("batch"))
    names = ["ping", "throughput", "spool", "failed"]
    assert [bytes(raw) for raw in batch.measurements] == [golden(f"measurement-{name}") for name in names]
    assert (batch.first, batch.oldest) == (17, 17)


def test_schemas_in_docs_are_current() -> None:
    expected = {name: schema.render(each) for name, each in schema.schemas().items()}
    found = {path.name: path.read_text("utf-8") for path in (ROOT / "docs" / "schema").glob("*.json")}
    assert found == expected


@pytest.mark.parametrize("probe", sorted(make_golden.PROBES))
def test_golden_measurements_hold_every_field_of_their_probe_and_decode_to_it(probe: str) -> None:
    result = wire.decode_measurement(golden(f"measurement-{probe}")).result
    assert type(result) is PROBES[probe].result
    assert result == make_golden.PROBES[probe].result
    assert set(msgspec.json.decode(msgspec.json.encode(result))) >= {field.name for field in PROBES[probe].fields}


@pytest.mark.parametrize(("name", "probe"), MEASUREMENTS.items())
def test_golden_measurements_satisfy_the_published_schema(name: str, probe: str) -> None:
    import json

    import jsonschema

    jsonschema.validate(json.loads(golden(f"measurement-{name}")), schema.schemas()[f"measurement-{probe}.json"])


def test_unknown_fields_are_ignored() -> None:
    later = golden("measurement-ping").replace(b'"sent":60', b'"sent":60,"invented_later":[1,2]')
    assert wire.decode_measurement(later).result.sent == 60


def test_an_unknown_probe_keeps_its_result_as_plain_data() -> None:
    later = golden("measurement-ping").replace(b'"probe":"ping"', b'"probe":"from_the_future"')
    measurement = wire.decode_measurement(later)
    assert measurement.probe == "from_the_future"
    assert measurement.result["sent"] == 60


def test_topics_round_trip() -> None:
    box = wire.agent_id("paris/cargo/box-01")
    assert wire.up_topic(box, "results") == "fibrewatch/v1/paris/cargo/box-01/up/results"
    assert wire.down_topic(box, "ack") == "fibrewatch/v1/paris/cargo/box-01/down/ack"
    assert wire.parse_up_topic(wire.up_topic(box, "status")) == (box, "status")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "fibrewatch/v1/paris/cargo/box-01/down/ack",
        "fibrewatch/v2/paris/cargo/box-01/up/results",
        "fibrewatch/v1/Paris/cargo/box-01/up/results",
        "fibrewatch/v1/paris/cargo/box-01/up/results/more",
        "fibrewatch/v1/paris//box-01/up/results",
        "fibrewatch/v1/paris/cargo/a-name-of-more-than-20-chars/up/results",
        "fibrewatch/v1/paris/cargo/box-01/up/results\n",
    ],
)
def test_foreign_topics_are_refused(topic: str) -> None:
    with pytest.raises(WireError) as caught:
        wire.parse_up_topic(topic)
    assert caught.value.reason == "topic"


@pytest.mark.parametrize("text", ["paris/cargo", "paris/cargo/box/01", "paris/+/box", "PARIS/a/b", "paris/cargo/b\n"])
def test_foreign_ids_are_refused(text: str) -> None:
    with pytest.raises(WireError):
        wire.agent_id(text)


GOOD = make_golden.payloads()["measurement-ping.json"]


def usable(batch: wire.Batch) -> list[bool]:
    def fine(raw: Any) -> bool:
        try:
            wire.decode_measurement(raw)
        except WireError:
            return False
        return True

    return [fine(raw) for raw in batch.measurements]


@pytest.mark.parametrize(
    "poison",
    [
        GOOD.replace(b"0.004105", b"NaN"),
        GOOD.replace(b"0.004105", b"-Infinity"),
        GOOD.replace(b"0.004105", b"1e999"),
        GOOD.replace(b'"sent":60', b'"sent":"sixty"'),
        GOOD.replace(b'"sent":60', b'"sent":-60'),
        GOOD.replace(b"latency", b"\xff\xfe"),
        GOOD.replace(b"{", b'{"of_next_year":"\xff\xfe",', 1),
        GOOD.replace(b"latency", b"\\ud800"),
        GOOD.replace(b"2026-11-22T20:15:00.250000Z", b"yesterday"),
        b"null",
        b"[]",
        b'"' + b"x" * wire.MAX_MEASUREMENT_BYTES + b'"',
    ],
    ids=[
        "nan",
        "inf",
        "overflow",
        "type",
        "negative",
        "utf8",
        "utf8-unknown",
        "surrogate",
        "time",
        "null",
        "list",
        "oversized",
    ],
)
def test_one_poisoned_measurement_spoils_no_other(poison: bytes) -> None:
    batch = wire.decode_batch(batch_of(GOOD, poison, GOOD))
    assert usable(batch) == [True, False, True]
    assert bytes(batch.measurements[0]) == GOOD
    assert bytes(batch.measurements[2]) == GOOD


MISSPELT = [
    (b'"probe":"ping"', b'"probe":"Ping"', "probe"),
    (b'"test":"', b'"test":"no spaces ', "test"),
    (b'"test":"', b'"test":"' + b"x" * 63, "test"),
    (b'"boot":"', b'"boot":"x', "boot"),
    (b'"name":"', b'"name":"\\n', "target.name"),
    (b'"interface":"eth0"', b'"interface":""', "interface"),
    (b'"interface":"eth0"', b'"interface":"eth0\\n"', "interface"),
]


@pytest.mark.parametrize(("good", "bad", "name"), MISSPELT)
def test_a_name_that_is_misspelt_is_malformed(good: bytes, bad: bytes, name: str) -> None:
    raw = golden("measurement-ping")
    assert good in raw
    with pytest.raises(WireError, match=rf"\$\.{name}` is not spelt") as told:
        wire.decode_measurement(raw.replace(good, bad, 1))
    assert told.value.reason == "malformed"


@pytest.mark.parametrize("broken", [b"{", b'{"probe":', b"}", b"nonsense", GOOD[:-30]])
def test_a_break_settles_what_stands_before_it_and_itself(broken: bytes) -> None:
    batch = wire.decode_batch(batch_of(GOOD, broken, GOOD, first=5))
    assert batch.first == 5
    assert usable(batch) == [True, False]


def test_a_truncated_batch_yields_its_whole_measurements() -> None:
    payload = batch_of(GOOD, GOOD, GOOD)
    batch = wire.decode_batch(payload[: len(payload) - 40])
    assert usable(batch) == [True, True, False]


def test_a_batch_without_stream_or_number_is_malformed() -> None:
    with pytest.raises(WireError, match="malformed"):
        wire.decode_batch(b'{"first":1,"oldest":1,"measurements":[]}')
    with pytest.raises(WireError, match="malformed"):
        wire.decode_batch(batch_of(GOOD)[:50])


def test_nesting_to_any_depth_is_only_malformed() -> None:
    deep = b"[" * 100_000
    with pytest.raises(WireError, match="malformed"):
        wire.decode_batch(deep)
    assert usable(wire.decode_batch(batch_of(GOOD, deep))) == [True, False]


def test_an_oversized_payload_is_not_looked_at() -> None:
    with pytest.raises(WireError) as caught:
        wire.decode_batch(b" " * (wire.MAX_PAYLOAD_BYTES + 1))
    assert caught.value.reason == "oversized"


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused_with_a_reason(noise: bytes) -> None:
    for decode in (wire.decode_batch, wire.decode_measurement, lambda raw: wire.decode(raw, wire.Status)):
        try:
            decode(noise)
        except WireError as e:
            assert e.reason in {"malformed", "oversized"}


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=3))
def test_a_damaged_measurement_is_decoded_or_refused(at: int, noise: bytes) -> None:
    batch = wire.decode_batch(batch_of(GOOD, GOOD[:at] + noise + GOOD[at + len(noise) :], GOOD))
    assert usable(batch)[0]
