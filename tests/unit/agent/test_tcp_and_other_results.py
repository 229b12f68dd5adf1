"""What the service probes find goes over the wire as it is, and every figure becomes a metric."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import fields

from fibrewatch.measurement import Measurement, Target
from fibrewatch.metric import prometheus_name
from fibrewatch.results import PROBES, dns, http, ntp, tcp, tls
from fibrewatch_agent.config import load_config
from fibrewatch_agent.runner import sendable

DOCUMENT = Path(__file__).parents[3] / "docs/probes-services.md"
AT = datetime(2026, 11, 22, 20, 15, tzinfo=UTC)
FULL = {
    "dns": dns.Result(
        resolver="::1", transport="udp", response_time=0.0123, lookup_time=0.02, attempts=1, rcode=0, code="NOERROR",
        truncated=False, answers=2, answers_a=1, answers_aaaa=1, ttl_min=60, answer_size=99,
        addresses=("192.0.2.1", "2001:db8::1"), stamps="kernel",
    ),
    "tcp": tcp.Result(resolve=0.001, connect=0.01, rtt=0.009, retransmits=0),
    "tls": tls.Result(
        resolve=0.001, connect=0.01, handshake=0.02, rtt=0.009, verified=False, problem="expired",
        certificate_left=-86400.5, certificate_until=AT, subject="a", issuer="b", version="TLSv1.3", cipher="c",
        alpn="h2",
    ),
    "http": http.Result(
        resolve=0.001, connect=0.01, tls=0.02, first_byte=0.03, body=0.04, total=0.1, redirect=0.05, redirects=1,
        rtt=0.009, status=200, size=5, portal_detected=True, complete=True, version="1.1", location="/",
    ),
    "ntp": ntp.Result(
        resolve=0.001, offset=-0.000012345, uncertainty=0.01, delay=0.009, stratum=2, synchronised=True, leap=0,
        root_delay=0.01, root_dispersion=0.02, server_precision=1e-6, refid="GPS", kiss="RATE", version=4,
        stamps="user",
    ),
}  # fmt: skip


@pytest.mark.parametrize("probe", FULL)
def test_a_full_result_arrives_as_it_was_sent(probe: str) -> None:
    result: Struct = FULL[probe]
    assert all(getattr(result, name) is not None for name in result.__struct_fields__)
    measurement: Measurement[Struct] = Measurement(
        probe=probe, test="t", started_at=AT, boottime_s=1.0, boot="8a3f10c2", duration_s=0.1, outcome="ok",
        target=Target(name="a", role="service"), result=result,
    )  # fmt: skip
    assert sendable(measurement).result == result


@pytest.mark.parametrize("probe", FULL)
def test_every_figure_becomes_a_metric(probe: str) -> None:
    figures = {name for name in FULL[probe].__struct_fields__ if isinstance(getattr(FULL[probe], name), int | float)}
    described = {field.name for field in PROBES[probe].fields}
    assert figures - described == {"http": {"complete"}, "ntp": {"server_precision", "version"}}.get(probe, set())


@pytest.mark.parametrize("probe", FULL)
def test_every_setting_is_documented(probe: str) -> None:
    text = DOCUMENT.read_text("utf-8")
    section = text.split(f"\n## {probe}\n")[1].split("\n## ")[0]
    assert [
        field.encode_name for field in fields(PROBES[probe].params) if f"`{field.encode_name}`" not in section
    ] == []


def test_the_documented_config_is_accepted(tmp_path: Path) -> None:
    example = DOCUMENT.read_text("utf-8").split("```toml\n")[1].split("```")[0]
    head = '[agent]\nterritory = "paris"\nsite = "cargo"\nname = "box-01"\n[broker]\nhost = "localhost"\n'
    path = tmp_path / "agent.toml"
    path.write_text(head + example, "utf-8")
    assert {plan.probe.name for plan in load_config(path).plans} == {"dns", "http", "tls", "ntp"}


def test_the_names_that_alerts_are_written_for() -> None:
    names = {prometheus_name(probe, field) for probe in FULL for field in PROBES[probe].fields}
    assert names >= {
        "fibrewatch_dns_response_time_seconds",
        "fibrewatch_dns_rcode",
        "fibrewatch_tcp_connect_seconds",
        "fibrewatch_tls_certificate_left_seconds",
        "fibrewatch_http_first_byte_seconds",
        "fibrewatch_http_portal_detected",
        "fibrewatch_ntp_offset_seconds",
    }
