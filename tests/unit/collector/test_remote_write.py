"""What is written of a run, and that it is what /metrics would show: one label set, no series in both."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fibrewatch import __version__
from fibrewatch.errors import ConfigError
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.results import PROBES, ping
from fibrewatch.wire import AgentId
from fibrewatch_collector.config import load_config
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.own_metrics import OwnMetrics
from fibrewatch_collector.remote_write.encoding import Sample, labels, write_request
from fibrewatch_collector.remote_write.samples import Sampler
from fibrewatch_collector.store import Committed
from tests.support.every_probe import run_of
from tests.support.measurements import NOON, window
from tests.support.remote_write import Written, decode

ROOT = Path(__file__).parents[3]
BOX = AgentId("paris", "cargo", "box-01")
Series = frozenset[tuple[str, str]]


def hub_of(runs: Iterable[AnyMeasurement], *, written: bool) -> Hub:
    inventory = load_inventory(ROOT / "deploy/sites.example.toml")
    hub = Hub(inventory, PROBES, OwnMetrics(__version__), lambda: NOON + 70, written=written)
    hub.committed(Committed(stored=[(BOX, run) for run in runs]), 0.01)
    return hub


def scraped(hub: Hub) -> Mapping[Series, float]:
    """As Prometheus takes it: an empty label is none."""
    families = text_string_to_metric_families(b"".join(hub.metrics()).decode())
    return {
        frozenset({"__name__": sample.name, **{k: v for k, v in sample.labels.items() if v}}.items()): sample.value
        for family in families
        for sample in family.samples
        if not family.name.startswith("fibrewatch_collector")
    }


def written(sampler: Sampler, *runs: AnyMeasurement) -> list[Written]:
    return decode(write_request(sample for run in runs for sample in sampler.samples(BOX, run)))


def sampler() -> Sampler:
    return Sampler(hub_of([], written=True).exposition.plans)


def test_what_is_written_and_what_is_scraped_are_together_what_a_scrape_alone_would_show() -> None:
    rng = Random(1)
    runs = [run_of(probe, NOON, rng) for probe in PROBES.values()]
    whole, rest = scraped(hub_of(runs, written=False)), scraped(hub_of(runs, written=True))
    sent = {frozenset(each.labels.items()): each.value for each in written(sampler(), *runs)}
    assert len(sent) > 200
    assert not sent.keys() & rest.keys()
    assert {**rest, **sent} == whole


def test_metrics_keep_what_the_collector_adds_up_and_freshness() -> None:
    names = {dict(series)["__name__"] for series in scraped(hub_of([window()], written=True))}
    assert {"fibrewatch_ping_sent_packets_total", "fibrewatch_ping_rtt_seconds_bucket"} <= names
    assert {"fibrewatch_probe_runs_total", "fibrewatch_probe_last_result_timestamp_seconds"} <= names
    assert not {"fibrewatch_probe_success", "fibrewatch_ping_rtt_p50_seconds"} & names


def test_samples_are_at_the_end_of_their_run() -> None:
    assert {each.at_ms for each in written(sampler(), window(NOON, duration_s=59.9996))} == {int(NOON + 60) * 1000}


def lost(start: float) -> AnyMeasurement:
    result = ping.Result(sent=60, lost=60, deadline=2.0, loss_ratio=1.0)
    return window(start, outcome="failed", error="timeout", result=result)


def of(samples: Iterable[Written], name: str) -> list[float | None]:
    return [each.value for each in samples if each.name == name]


def test_what_is_no_longer_measured_ends_and_what_never_was_is_not_written() -> None:
    made = sampler()
    found = written(made, window(NOON), lost(NOON + 60), window(NOON + 120))
    assert of(found, "fibrewatch_ping_rtt_p50_seconds") == [0.0123, None, 0.0123]
    assert of(found, "fibrewatch_ping_rtt_p99_seconds") == []
    assert of(found, "fibrewatch_probe_success") == [1, 0, 1]


def test_invalid_run_ends_all_values_and_says_so() -> None:
    found = written(sampler(), window(NOON), window(NOON + 60, verdict="invalid", reasons=("cpu_busy",)))
    assert of(found, "fibrewatch_ping_rtt_p50_seconds") == [0.0123, None]
    assert of(found, "fibrewatch_probe_valid") == [1, 0]


def test_skipped_run_writes_nothing() -> None:
    assert written(sampler(), window(NOON, outcome="skipped", error="busy", result=None)) == []


def test_encoding_is_protobufs() -> None:
    """Reckoned by hand: field 1 of Label is name, 2 value; of Sample 1 a double, 2 a varint: 1.5 at 300 ms."""
    series = labels("up", {"a": "", "Z": "é"})
    assert series.hex(" ") == "0a 07 0a 01 5a 12 02 c3 a9 0a 0e 0a 08 5f 5f 6e 61 6d 65 5f 5f 12 02 75 70"
    request = write_request([Sample(series, 1.5, 300)])
    assert request == b"\x0a\x27" + series + bytes.fromhex("12 0c 09 00 00 00 00 00 00 f8 3f 10 ac 02")


def test_a_series_is_there_once_and_in_the_order_of_time() -> None:
    one, two = labels("a", {}), labels("b", {})
    found = decode(write_request([Sample(one, 1, 30), Sample(two, 2, 5), Sample(one, 3, 10)]))
    assert [(each.name, each.at_ms) for each in found] == [("a", 10), ("a", 30), ("b", 5)]


def load(folder: Path, text: str) -> Any:
    path = folder / "collector.toml"
    path.write_text(f"[remote_write]\n{text}")
    return load_config(path).remote_write


def test_settings(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    config = load(tmp_path, 'url = "https://m/api?key=1"\ntoken_file = "token"\nheaders = {X-Scope-OrgID = "f"}\n')
    assert (config.max_age_s, config.token(), config.headers) == (43200, "s3cret", {"X-Scope-OrgID": "f"})
    assert config.shown_url == "https://m/api"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "remote_write: url is missing"),
        ('url = "prometheus:9090"\n', "remote_write: url: write http:// or https://"),
        ('url = "http://user:pass@host/"\n', "remote_write: url: write http:// or https://"),
        ('url = "http://h/"\nmax_age = "5 s"\n', "remote_write.max_age: "),
        ('url = "http://h/"\nheaders = {X = "a\\nb"}\n', "remote_write.headers"),
        ('url = "http://h/"\ntoken_file = "none"\n', "remote_write.token_file: "),
        ('url = "http://h/"\nca = "collector.toml"\n', "remote_write.ca: "),
        ('url = "http://h/"\nurls = 1\n', "remote_write.urls: no such key (did you mean url?)"),
    ],
)
def test_what_is_wrong_with_the_settings_is_said(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert f"collector.toml: {problem}" in str(caught.value)
