"""What was seen of the tenants around a transfer, and so what its figure proves."""

from pathlib import Path

import pytest

from fibrewatch.measurement import Conditions
from fibrewatch.results import PROBES, throughput
from fibrewatch_agent.box import Box
from fibrewatch_agent.config import Plan
from fibrewatch_agent.line import wan
from fibrewatch_agent.line.config import LineConfig
from fibrewatch_agent.line.tenants import Look
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.transfer.heavy import Heavy
from fibrewatch_agent.transfer.surroundings import Watch

HOUR_S = 3600.0
UNWATCHED = Look(unknown="the line has not been watched for a day yet")
INFLATED = Look(busy="round trips to the operator are 80 ms longer than they have to be")


@pytest.mark.parametrize(
    ("uplinks", "looks", "verdict", "reasons"),
    [
        ({}, [UNWATCHED, UNWATCHED], "valid", []),
        ({}, [UNWATCHED, INFLATED], "invalid", ["tenants_traffic"]),
        ({"lte": LineConfig()}, [UNWATCHED, UNWATCHED], "censored", ["tenants_unknown"]),
        ({"lte": LineConfig()}, [UNWATCHED, Look()], "valid", []),
    ],
)
def test_without_an_uplink_of_which_a_contract_is_known_a_figure_stands(
    tmp_path: Path, uplinks: dict[str, LineConfig], looks: list[Look], verdict: str, reasons: list[str]
) -> None:
    params, uplink = throughput.Params(direction="down"), next(iter(uplinks), None)
    test = Plan(test="down", probe=PROBES["throughput"], params=params, every_s=HOUR_S, uplink=uplink)
    box = Box(agent="paris/cargo/box-01", test="down", icmp=IcmpSockets(), flow=(0.0, 10.0))
    watch = Watch(Heavy(uplinks, proc=tmp_path, sys=tmp_path), test, box)
    watch._looks = looks
    result, _ = watch.conclude(throughput.Result(direction="down", streams=1, goodput=9.4e6), Conditions())
    assert (box.verdict, box.reasons) == (verdict, reasons)
    assert result.bound == (9.4e6 if verdict == "censored" else None)


@pytest.mark.parametrize(
    ("share", "extra", "reasons"),
    [(1.0, 0.0, []), (0.01, 0.0, ["tenants_unknown"]), (None, 0.0, ["tenants_unknown"]), (1.0, 0.3, ["cross_traffic"])],
)
def test_counters_that_tell_nothing_are_not_taken_for_an_idle_line(
    tmp_path: Path, share: float | None, extra: float, reasons: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Ten seconds at 10 MB/s, of which the router shows each second's; or, for None, one refresh only."""
    line = LineConfig(interface="wwan0", rate_down=10e6)
    test = Plan(
        test="down",
        probe=PROBES["throughput"],
        params=throughput.Params(direction="down"),
        every_s=HOUR_S,
        uplink="lte",
        interface="wwan0",
    )
    box = Box(agent="paris/cargo/box-01", test="down", icmp=IcmpSockets(), interface="wwan0", flow=(0.0, 10.0))
    watch = Watch(Heavy({"lte": line}, proc=tmp_path, sys=tmp_path), test, box)
    watch._poll = Heard(share, extra)  # type: ignore[assignment]
    result, _ = watch.conclude(throughput.Result(direction="down", streams=1, goodput=9.4e6), Conditions())
    assert box.reasons == reasons
    assert box.verdict == ("censored" if reasons else "valid")
    assert ("less than our own" in caplog.text) is (share == 0.01)
    if extra:
        assert result.bound == pytest.approx(9.4e6 + (3e6 - 0.02 * 10e6) * 1448 / 1514, rel=1e-3)


class Heard:
    """What a router said, five times a second."""

    def __init__(self, share: float | None, extra: float) -> None:
        self.samples = [self._sample(i, share, extra) for i in range(56)]

    def edges(self) -> list[wan.Edge]:
        return wan.edges(self.samples)

    def _sample(self, number: int, share: float | None, extra: float) -> wan.Sample:
        own, seen = number * 2_000_000, number // 5 * 10_000_000
        counted = 10_000_000 * (number > 30) if share is None else int((share + extra) * seen)
        return wan.Sample(
            at=number / 5,
            uptime=number * 20,
            received=counted,
            sent=0,
            own=wan.Own(own, own // 1514, 0, 0),
            mtu=1500,
        )
