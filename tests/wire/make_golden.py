"""Writes the golden payloads anew: `python -m tests.wire.make_golden`. Only additions to the contract change them."""

from datetime import UTC, datetime
from pathlib import Path

from msgspec import Raw, Struct

from fibrewatch import wire
from fibrewatch.measurement import Conditions, Measurement, Target
from fibrewatch.results import ping, spool, stamp, throughput
from tests.wire.golden_line import LINE
from tests.wire.golden_services import SERVICES, Golden
from tests.wire.golden_wifi import WIFI

FOLDER = Path(__file__).parent / "v1"
AT = datetime(2026, 11, 22, 20, 15, 0, 250000, tzinfo=UTC)
STREAM = "0123456789abcdef"
CONDITIONS = Conditions(
    clock_synchronised=True,
    clock_offset_bound_s=0.004,
    cpu_busy=0.07,
    temperature_celsius=51.5,
    throttled=(),
    link_speed=125e6,
)


def _measurement(probe: str, test: str, result: Struct, target: Target | None, **more: object) -> Measurement[Struct]:
    values: dict[str, object] = {"boottime_s": 3600.5, "boot": "8a3f10c2", "duration_s": 60.0, "outcome": "ok"}
    return Measurement(
        probe=probe, test=test, started_at=AT, target=target, conditions=CONDITIONS, result=result, **(values | more)
    )  # type: ignore[arg-type]


PING = _measurement(
    "ping",
    "latency",
    ping.Result(
        sent=60,
        lost=1,
        deadline=2.0,
        loss_ratio=0.016666667,
        duplicates=1,
        rtt_min=0.003912,
        rtt_p50=0.004105,
        rtt_p95=0.004873,
        rtt_p99=0.009631,
        rtt_max=0.009631,
        ipdv_p50=0.000087,
        ipdv_p95=0.000912,
        rtt={-277: 12, -275: 44, -266: 2, -232: 1},
        stamps="kernel",
        first_lost_at_s=31.0,
    ),
    Target(name="operator", role="operator", address="192.0.2.7"),
    interface="eth0",
    family=4,
)
THROUGHPUT = _measurement(
    "throughput",
    "download-v6",
    throughput.Result(
        direction="down",
        streams=4,
        goodput=116_842_113.5,
        transferred=1_287_654_321,
        transfer_duration=10.0,
        retransmits=17,
        rtt_min=0.0041,
        rtt_mean=0.0112,
        rtt_max=0.0231,
        cpu_local=0.61,
        cpu_remote=0.22,
        congestion="cubic",
        port=5202,
        intervals=(115.0e6, 117.2e6),
    ),
    Target(name="responder-1", role="responder", address="2001:db8::5"),
    interface="eth0",
    family=6,
    verdict="censored",
    reasons=("interface_ceiling",),
    duration_s=11.4,
)
SPOOL = _measurement(
    "spool",
    "spool",
    spool.Result(dropped=120, cause="age", stream=STREAM, first=1, last=120, oldest_at=AT, newest_at=AT),
    None,
    duration_s=0.0,
)
MESH = _measurement(
    "stamp",
    "mesh-transatlantic-stamp",
    stamp.Result(
        sent=60,
        lost=2,
        deadline=2.0,
        loss_ratio=0.033333333,
        lost_forward=0,
        lost_backward=2,
        lost_undetermined=0,
        loss_forward_ratio=0.0,
        loss_backward_ratio=0.033333333,
        rtt_min=0.141204,
        rtt_p50=0.141391,
        rtt={83: 58},
        stamps="kernel",
        stateful=True,
        first_lost_at_s=12.0,
    ),
    Target(
        name="san-francisco.soma.box-01",
        role="responder",
        address="198.51.100.51",
        peer="san-francisco/soma/box-01",
    ),
    interface="eth0",
    family=4,
)
FAILED = Measurement[Struct](
    probe="throughput",
    test="upload-v4",
    started_at=AT,
    boottime_s=12.25,
    boot="8a3f10c2",
    duration_s=5.0,
    outcome="failed",
    error="refused",
    detail="192.0.2.9: connection refused on ports 5201 to 5204",
    target=Target(name="responder-1", role="responder", address="192.0.2.9"),
    reasons=("undated",),
)


def _of_probe(probe: str, golden: Golden) -> Measurement[Struct]:
    return _measurement(
        probe,
        golden.test,
        golden.result,
        golden.target,
        interface="eth0",
        family=golden.family,
        duration_s=golden.duration_s,
    )


PROBES = {probe: _of_probe(probe, golden) for probe, golden in (LINE | SERVICES | WIFI).items()}


def payloads() -> dict[str, bytes]:
    """File name → payload."""
    measurements = {"ping": PING, "throughput": THROUGHPUT, "spool": SPOOL, "failed": FAILED}
    found = {f"measurement-{name}.json": wire.encode(each) for name, each in measurements.items()}
    found["measurement-mesh.json"] = wire.encode(MESH)
    found |= {f"measurement-{name}.json": wire.encode(each) for name, each in PROBES.items()}
    raws = [Raw(wire.encode(each)) for each in measurements.values()]
    found["batch.json"] = wire.encode(wire.Batch(stream=STREAM, first=17, oldest=17, measurements=raws))
    found["ack.json"] = wire.encode(wire.Ack(stream=STREAM, through=20))
    spool_state = wire.SpoolState(state="ok", depth=3, size_bytes=40_960, dropped=0, oldest_at=AT)
    found["status-online.json"] = wire.encode(
        wire.Status(
            state="online",
            version="0.1.0",
            boot="8a3f10c2",
            at=AT,
            started_at=AT,
            conditions=CONDITIONS,
            spool=spool_state,
            lost_targets=("operator",),
        )
    )
    found["status-will.json"] = wire.encode(wire.Status(state="offline", version="0.1.0", boot="8a3f10c2"))
    test = wire.ScheduledTest(
        test="latency", probe="ping", mode="window", every_s=60.0, target="operator", interface="eth0", family=4
    )
    interface = wire.Interface(name="eth0", kind="wired", up=True, link_speed=125e6, addresses=("192.0.2.2",))
    found["inventory.json"] = wire.encode(
        wire.Inventory(version="0.1.0", interfaces=(interface,), capabilities=("kernel_stamps",), schedule=(test,))
    )
    found["collector-status.json"] = wire.encode(wire.CollectorStatus(state="online", version="0.1.0", at=AT))
    return found


if __name__ == "__main__":
    for name, payload in payloads().items():
        (FOLDER / name).write_bytes(payload + b"\n")
