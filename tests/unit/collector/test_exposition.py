"""The boxes' series: what is shown, what counts, what expires, in a format that Prometheus reads."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from fibrewatch import sketch, wire
from fibrewatch.measurement import AnyMeasurement, Measurement, Target
from fibrewatch.results import (
    PROBES,
    path,
    ping,
    spool,
    throughput,
    voice,
    wifi_air,
    wifi_link,
    wifi_onboarding,
    wifi_scan,
)
from fibrewatch.wire import AgentId, ScheduledTest
from fibrewatch.wire import Inventory as Schedule
from fibrewatch_collector.exposition import MAX_SERIES, Exposition
from fibrewatch_collector.families import Family, labels_text
from fibrewatch_collector.mesh import Group, Mesh, Pair, target_name

BOX = AgentId("paris", "cargo", "box-01")
T0 = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)
NOW = T0.timestamp() + 61
LABELS = {**BOX._asdict(), "interface": "eth0", "target": "far", "test": "ping"}


def exposition(*agents: AgentId) -> Exposition:
    made = Exposition(PROBES)
    made.set_agents(dict.fromkeys(agents or (BOX,)))
    return made


def result(**fields: Any) -> ping.Result:
    return ping.Result(**({"sent": 60, "lost": 0, "deadline": 2.0, "loss_ratio": 0.0, "rtt_p50": 0.004} | fields))


def run(minute: float = 0, **fields: Any) -> AnyMeasurement:
    usual: dict[str, Any] = {
        "probe": "ping",
        "test": "ping",
        "target": Target(name="far", role="neutral"),
        "interface": "eth0",
        "started_at": T0 + timedelta(minutes=minute),
        "boottime_s": 1.0,
        "boot": "00000000",
        "duration_s": 60.0,
        "outcome": "ok",
        "result": result(),
    }
    return Measurement(**(usual | fields))


def text(made: Exposition) -> str:
    return "".join(family.text() for family in made.families())


def samples(made: Exposition) -> Mapping[str, float]:
    """Values by name of the series of LABELS; a histogram's by name and le."""
    found = {}
    for family in text_string_to_metric_families(text(made)):
        for sample in family.samples:
            labels = dict(sample.labels)
            le = labels.pop("le", "")
            if labels == LABELS:
                found[sample.name + le] = sample.value
    return found


def test_fields_become_series_named_by_probe_field_and_unit() -> None:
    made = exposition()
    made.add(BOX, run(), NOW)
    found = samples(made)
    assert found["fibrewatch_ping_rtt_p50_seconds"] == 0.004
    assert found["fibrewatch_ping_loss_ratio"] == 0
    assert found["fibrewatch_ping_sent_packets_total"] == 60
    assert found["fibrewatch_probe_success"] == 1
    assert found["fibrewatch_probe_last_result_timestamp_seconds"] == T0.timestamp() + 60


MAC, NAME = "02:00:00:00:01:00", "a tenant's network"
RADIO = {
    "wifi_link": wifi_link.Result(
        signal=-50.0,
        bssid=MAC,
        ssid=NAME,
        events=(wifi_link.Event(kind="roamed", ago=1.0, bssid=MAC),),
        reasons=(wifi_link.Reason(kind="disconnected", by="ap", reason=1, text=NAME, times=1),),
    ),
    "wifi_scan": wifi_scan.Result(
        access_points=1,
        ssids=(NAME,),
        ssids_missing=(NAME,),
        bssids_missing=(MAC,),
        neighbours=(wifi_scan.Neighbour(bssid=MAC, ssid=NAME),),
    ),
    "wifi_onboarding": wifi_onboarding.Result(join=1.0, ssid=NAME, bssid=MAC, roam_bssid=MAC, address="10.9.8.7"),
    "wifi_air": wifi_air.Result(frames=1, bssid=MAC),
}


@pytest.mark.parametrize("probe", RADIO)
def test_names_and_addresses_of_the_air_are_no_labels(probe: str) -> None:
    made = exposition()
    made.add(BOX, run(probe=probe, test="radio", target=None, interface="wlan0", result=RADIO[probe]), NOW)
    shown = text(made)
    assert f"fibrewatch_{probe}_" in shown
    assert not any(told in shown for told in (MAC, NAME, "10.9.8.7"))


def test_what_names_no_target_or_interface_has_empty_labels() -> None:
    made = exposition()
    made.add(BOX, run(target=None, interface=None), NOW)
    assert 'interface="",target="",test="ping"} 0.004' in text(made)


def test_newest_run_wins_and_a_late_one_only_counts() -> None:
    made = exposition()
    made.add(BOX, run(1, result=result(rtt_p50=0.002)), NOW + 60)
    made.add(BOX, run(0, result=result(rtt_p50=0.009, lost=3)), NOW + 60)
    found = samples(made)
    assert found["fibrewatch_ping_rtt_p50_seconds"] == 0.002
    assert found["fibrewatch_ping_sent_packets_total"] == 120
    assert found["fibrewatch_ping_lost_packets_total"] == 3
    assert found["fibrewatch_probe_last_result_timestamp_seconds"] == T0.timestamp() + 120


def test_field_that_was_not_measured_is_gone_not_old() -> None:
    made = exposition()
    made.add(BOX, run(0), NOW)
    made.add(
        BOX, run(1, result=result(rtt_p50=None, lost=60, loss_ratio=1.0), outcome="failed", error="timeout"), NOW + 60
    )
    found = samples(made)
    assert "fibrewatch_ping_rtt_p50_seconds" not in found
    assert found["fibrewatch_ping_loss_ratio"] == 1
    assert found["fibrewatch_probe_success"] == 0
    assert found["fibrewatch_probe_failures_total"] == 1


def test_invalid_run_shows_and_counts_nothing_but_itself() -> None:
    made = exposition()
    made.add(BOX, run(0), NOW)
    made.add(BOX, run(1, verdict="invalid", reasons=("cpu_busy",)), NOW + 60)
    found = samples(made)
    assert "fibrewatch_ping_rtt_p50_seconds" not in found
    assert found["fibrewatch_ping_sent_packets_total"] == 60
    assert found["fibrewatch_probe_valid"] == 0
    assert found["fibrewatch_probe_invalid_total"] == 1
    assert found["fibrewatch_probe_runs_total"] == 2


def test_censored_value_is_shown_and_marked() -> None:
    made = exposition()
    made.add(BOX, run(verdict="censored", reasons=("link_speed",)), NOW)
    found = samples(made)
    assert (found["fibrewatch_ping_rtt_p50_seconds"], found["fibrewatch_probe_censored"]) == (0.004, 1)


def test_skipped_run_leaves_the_values_of_the_last_one() -> None:
    made = exposition()
    made.add(BOX, run(0), NOW)
    made.add(BOX, run(1, outcome="skipped", error="busy", result=None), NOW + 60)
    found = samples(made)
    assert found["fibrewatch_ping_rtt_p50_seconds"] == 0.004
    assert (found["fibrewatch_probe_success"], found["fibrewatch_probe_skips_total"]) == (1, 1)


def test_part_of_a_failed_transfer_counts_but_is_no_value() -> None:
    made = exposition()
    part = throughput.Result(direction="down", streams=4, goodput=1e6, transferred=5000, complete=False)
    made.add(BOX, run(probe="throughput", outcome="failed", error="reset", result=part), NOW)
    found = samples(made)
    assert "fibrewatch_throughput_goodput_bytes_per_second" not in found
    assert found["fibrewatch_throughput_transferred_bytes_total"] == 5000


@pytest.mark.parametrize(
    "odd", [{"reasons": ("undated",), "started_at": T0 + timedelta(minutes=1)}, {"started_at": T0 + timedelta(hours=1)}]
)
def test_run_of_unknown_or_future_time_counts_but_is_never_the_newest(odd: dict[str, Any]) -> None:
    made = exposition()
    made.add(BOX, run(0), NOW)
    made.add(
        BOX, run(**({"minute": 1} | odd), result=result(rtt_p50=9.0)) if "started_at" not in odd else run(**odd), NOW
    )
    found = samples(made)
    assert found["fibrewatch_ping_rtt_p50_seconds"] == 0.004
    assert found["fibrewatch_ping_sent_packets_total"] == 120


def schedule(every_s: float) -> wire.Inventory:
    test = ScheduledTest(test="ping", probe="ping", mode="window", every_s=every_s, target="far")
    return wire.Inventory(version="1", schedule=(test,))


def test_values_expire_after_two_and_a_half_periods_and_freshness_stays() -> None:
    made = exposition()
    made.set_schedule(BOX, schedule(60))
    made.add(BOX, run(), NOW)
    end = T0.timestamp() + 60
    made.expire(end + 150)
    assert "fibrewatch_ping_rtt_p50_seconds" in samples(made)
    made.expire(end + 150.1)
    assert samples(made) == {"fibrewatch_probe_last_result_timestamp_seconds": end}
    assert f"fibrewatch_agent_last_result_timestamp_seconds{labels_text(BOX._asdict())} {end!r}" in text(made)
    assert (made.expired, list(made.latest(BOX))) == (1, [])


def test_counters_go_on_where_they_were_when_a_series_comes_back() -> None:
    made = exposition()
    made.set_schedule(BOX, schedule(60))
    made.add(BOX, run(), NOW)
    made.expire(NOW + 1000)
    made.add(BOX, run(30), NOW + 30 * 60)
    assert samples(made)["fibrewatch_ping_sent_packets_total"] == 120


def test_period_is_learned_where_none_is_scheduled() -> None:
    made = exposition()
    end = T0.timestamp() + 30
    for n in range(3):
        made.add(BOX, run(n / 6, duration_s=10.0), end)
    made.expire(end + 24)
    assert "fibrewatch_ping_rtt_p50_seconds" in samples(made)
    made.expire(end + 26)
    assert "fibrewatch_ping_rtt_p50_seconds" not in samples(made)


def test_late_batch_of_a_silent_box_shows_no_old_values() -> None:
    made = exposition()
    made.set_schedule(BOX, schedule(60))
    for n in range(5):
        made.add(BOX, run(n), NOW + 7200)
    assert samples(made) == {"fibrewatch_probe_last_result_timestamp_seconds": T0.timestamp() + 300}
    made.add(BOX, run(120), NOW + 7200)
    assert samples(made)["fibrewatch_ping_sent_packets_total"] == 360


def test_test_that_is_no_longer_scheduled_goes_for_good() -> None:
    made = exposition()
    made.add(BOX, run(), NOW)
    made.set_schedule(BOX, wire.Inventory(version="1"))
    made.expire(NOW)
    assert samples(made)
    made.expire(NOW + 10_000)
    assert (samples(made), made.series()) == ({}, 0)


def test_histogram_is_cumulative_and_sums_over_windows() -> None:
    made = exposition()
    rtts = [0.0009, 0.004, 0.004, 0.2, 9.0]
    for n in range(2):
        made.add(BOX, run(n, result=result(sent=5, rtt=sketch.of(rtts))), NOW + 60)
    found = samples(made)
    name = "fibrewatch_ping_rtt_seconds"
    assert [found[f"{name}_bucket{le}"] for le in ("0.0005", "0.001", "0.005", "0.3", "5.0", "+Inf")] == [
        0,
        2,
        6,
        8,
        8,
        10,
    ]
    assert found[f"{name}_count"] == 10
    assert found[f"{name}_sum"] == pytest.approx(2 * sum(rtts), rel=0.01)


@given(st.dictionaries(st.integers(sketch.MIN_INDEX, sketch.MAX_INDEX), st.integers(0, 1000), max_size=20))
def test_no_histogram_that_admission_lets_through_breaks_the_format(buckets: dict[int, int]) -> None:
    made = exposition()
    made.add(BOX, run(result=result(rtt=buckets)), NOW)
    found = samples(made)
    counts = [value for name, value in found.items() if "_bucket" in name]
    assert counts == sorted(counts)
    assert counts[-1] == sum(buckets.values())


def test_agents_and_probes_that_are_not_known_make_no_series() -> None:
    made = exposition()
    made.add(AgentId("paris", "cargo", "box-99"), run(), NOW)
    made.add(BOX, run(probe="sonar", result={"depth": 3}), NOW)
    assert text(made) == ""


def test_a_box_has_a_bounded_number_of_series() -> None:
    made = exposition()
    for n in range(MAX_SERIES + 7):
        made.add(BOX, run(test=f"t{n}"), NOW)
    assert (made.series(), made.refused) == (MAX_SERIES, 7)
    made.expire(NOW + 10_000)
    made.add(BOX, run(200, test="new"), NOW + 200 * 60)
    assert (made.series(), made.refused) == (MAX_SERIES, 7)
    assert 'test="new"' in text(made)


def test_box_that_leaves_the_inventory_takes_its_series_along() -> None:
    other = AgentId("paris", "cargo", "box-02")
    made = exposition(BOX, other)
    made.add(BOX, run(), NOW)
    made.add(other, run(), NOW)
    made.set_agents({other: None})
    assert "box-01" not in text(made)
    assert "box-02" in text(made)


def test_recalled_run_is_shown_but_its_counters_begin_at_zero() -> None:
    made = exposition()
    made.recall(BOX, run(0), NOW)
    found = samples(made)
    assert (found["fibrewatch_ping_rtt_p50_seconds"], found["fibrewatch_ping_sent_packets_total"]) == (0.004, 0)
    made.add(BOX, run(1), NOW + 60)
    assert samples(made)["fibrewatch_ping_sent_packets_total"] == 60


def test_same_test_of_another_probe_replaces_the_series() -> None:
    made = exposition()
    made.add(BOX, run(0), NOW)
    made.add(
        BOX, run(1, probe="throughput", result=throughput.Result(direction="up", streams=1, goodput=5.0)), NOW + 60
    )
    found = samples(made)
    assert found["fibrewatch_throughput_goodput_bytes_per_second"] == 5
    assert "fibrewatch_ping_rtt_p50_seconds" not in found


def test_dropped_measurements_of_a_spool_are_a_counter_without_state() -> None:
    made = exposition()
    dropped = spool.Result(dropped=7, cause="age", stream="0" * 16, first=1, last=7)
    made.add(BOX, run(probe="spool", test="spool", target=None, interface=None, result=dropped), NOW)
    assert "fibrewatch_spool_dropped_measurements_total{" in text(made)
    assert "fibrewatch_probe_success" not in text(made)


def test_latest_runs_tell_only_what_was_measured() -> None:
    made = exposition()
    made.add(BOX, run(), NOW)
    (latest,) = made.latest(BOX)
    assert (latest.test, latest.target, latest.outcome) == ("ping", "far", "ok")
    assert latest.values == {"deadline": 2.0, "loss_ratio": 0.0, "rtt_p50": 0.004}


@given(st.text(max_size=30))
def test_any_text_survives_as_a_label(value: str) -> None:
    family = Family("fibrewatch_site_info", "gauge", "A\nhelp \\ text.")
    family.set(labels_text({"name": value}), 1)
    (parsed,) = text_string_to_metric_families(family.text())
    assert parsed.samples[0].labels["name"] == value


def test_what_is_true_or_false_is_shown_as_1_or_0() -> None:
    made = exposition()
    for found, shown in ((True, 1.0), (False, 0.0)):
        traced = path.Result(mtu=1400, mtu_black_hole=found)
        made.add(BOX, run(minute=found, probe="path", result=traced), NOW + 60)
        assert samples(made)["fibrewatch_path_mtu_black_hole"] == shown, text(made)
        made = exposition()


@pytest.mark.parametrize("name", sorted(PROBES))
def test_every_probe_of_the_registry_is_shown_in_numbers(name: str) -> None:
    made = exposition()
    made.add(BOX, run(probe=name, result=filled(PROBES[name].result)), NOW)
    assert sum(1 for line in text(made).splitlines() if line.startswith(f"fibrewatch_{name}_")) > 0
    assert samples(made)


def filled(kind: type[Any]) -> Any:
    """A result with something in every field that has a described type."""
    import json

    import msgspec

    schema = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    values: dict[str, Any] = {field: example(each) for field, each in schema.items()}
    for field in values.keys() & {"oldest_at", "newest_at", "certificate_until"}:
        values[field] = "2026-10-01T12:00:00Z"
    return msgspec.json.decode(json.dumps({k: v for k, v in values.items() if v is not None}), type=kind)


def example(schema: Mapping[str, Any]) -> Any:
    """A value that a field's schema takes; None where it is no simple one."""
    schema = next((each for each in schema.get("anyOf", ()) if each.get("type") != "null"), schema)
    if "enum" in schema:
        return schema["enum"][0]
    simple = {"boolean": True, "integer": max(1, schema.get("minimum", 1)), "number": 1.5}
    if schema.get("type") == "string":
        return None if "pattern" in schema else "x"
    return simple.get(schema.get("type", ""))


def test_latest_values_are_numbers_where_a_field_is_true_or_false() -> None:
    made = exposition()
    made.add(BOX, run(probe="voice", result=voice.Result(sent=1, lost=0, ready=True)), NOW)
    (latest,) = made.latest(BOX)
    assert msgspec.json.encode(latest.values["ready"]) == b"1"


# ---- both ends


FAR = AgentId("san-francisco", "soma", "box-01")
NAMED = target_name(FAR)
PEER = Target(name=NAMED, role="responder", peer=str(FAR))
ENDS = {
    **BOX._asdict(),
    "target": NAMED,
    "peer_territory": "san-francisco",
    "peer_site": "soma",
    "peer_agent": "box-01",
}
HERE, THERE = f"{BOX.territory}/{BOX.site}", "san-francisco/soma"
PAIR = [
    ENDS | {"direction": "forward", "from": HERE, "to": THERE},
    ENDS | {"direction": "backward", "from": THERE, "to": HERE},
]
MESH = Mesh((Pair(Group(id="m", pairs=((HERE, THERE),), tests=("stamp",)), BOX, FAR, mutual=False),))


def pairs(made: Exposition) -> list[Mapping[str, str]]:
    families = {family.name: family for family in text_string_to_metric_families(text(made))}
    family = families.get("fibrewatch_mesh_pair_info")
    return [sample.labels for sample in family.samples] if family else []


def test_measured_pair_is_told_with_both_ends_each_way() -> None:
    made = exposition()
    made.add(BOX, run(target=PEER), NOW)
    made.add(BOX, run(target=PEER, test="another"), NOW)
    assert pairs(made) == PAIR


def test_planned_pair_is_told_before_it_is_measured_and_no_longer_when_it_is_not_planned() -> None:
    made = exposition()
    made.set_mesh(MESH)
    assert pairs(made) == PAIR
    made.add(BOX, run(target=PEER), NOW)
    assert pairs(made) == PAIR
    made.set_mesh(Mesh())
    assert pairs(made) == PAIR  # it is still measured
    made.set_schedule(BOX, Schedule(version="1"))
    made.expire(NOW + 3600)
    assert pairs(made) == []


def test_box_at_a_target_is_the_one_of_the_newest_run() -> None:
    made = exposition()
    made.add(BOX, run(1, target=PEER), NOW + 60)
    made.add(BOX, run(0, target=Target(name=NAMED, role="responder")), NOW + 60)  # late, from before it had a name
    assert pairs(made) == PAIR
    assert [latest.peer for latest in made.latest(BOX)] == [str(FAR)]


def test_target_that_becomes_another_box_is_one_pair_only() -> None:
    made = exposition()
    other = AgentId("san-francisco", "pier", "box-01")
    made.add(BOX, run(0, target=Target(name=NAMED, role="responder", peer=str(other))), NOW + 60)
    made.add(BOX, run(1, target=PEER, test="another"), NOW + 60)
    assert pairs(made) == PAIR


def test_pairs_of_a_box_that_is_gone_go_with_it() -> None:
    made = exposition()
    made.add(BOX, run(target=PEER), NOW)
    made.set_agents({FAR: None})
    assert pairs(made) == []
