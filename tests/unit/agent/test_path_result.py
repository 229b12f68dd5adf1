"""The largest result that a trace can make still fits a measurement."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from fibrewatch import wire
from fibrewatch.measurement import Conditions, Measurement, Target
from fibrewatch.results.path import Flow, Hop, Params, Result, Router

LONGEST = "2001:db8:1234:5678:9abc:def0:1234:{:04x}"


def largest() -> Result:
    """30 hops of 8 flows, all of which moved, each hop another router for each flow; as many have a name as may."""
    limits: dict[str, Any] = {
        field.name: msgspec.inspect.type_info(field.type).le
        for field in msgspec.structs.fields(Params)
        if field.name in {"flows", "max_hops"}
    }
    flows, hops = limits["flows"], limits["max_hops"]
    assert (flows, hops) == (8, 30)
    ways = [tuple(LONGEST.format(flow * 100 + hop) for hop in range(hops)) for flow in range(flows)]
    named = iter(range(60))
    return Result(
        hops=hops,
        changed=True,
        changes=1,
        previous=ways[0],
        current=ways[0],
        changed_flows=(61000,) * flows,
        flows=tuple(Flow(source_port=61000, way=way, reached=True, mixed=True) for way in ways),
        path=tuple(
            Hop(
                ttl=30,
                sent=99,
                answered=99,
                rtt_min=0.123456789,
                rtt_p50=0.123456789,
                rtt_max=0.123456789,
                routers=tuple(
                    Router(address=way[hop], asn=4_294_967_295, name="n" * 40)
                    if next(named, None) is not None
                    else Router(address=way[hop])
                    for way in ways[:4]
                ),
            )
            for hop in range(hops)
        ),
    )


def test_the_largest_trace_fits_a_measurement() -> None:
    measurement = Measurement(
        probe="path",
        test="t" * 63,
        started_at=datetime.now(UTC),
        boottime_s=1e9,
        boot="0" * 8,
        duration_s=100.0,
        outcome="ok",
        target=Target(name="t" * 63, role="responder", address=LONGEST.format(0)),
        detail="d" * 500,
        conditions=Conditions(clock_synchronised=True, cpu_busy=0.123456789),
        result=largest(),
    )
    assert len(msgspec.json.encode(measurement)) <= wire.MAX_MEASUREMENT_BYTES
