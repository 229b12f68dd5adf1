"""Figures and verdicts of throughput, from recorded reports."""

from collections import Counter

import msgspec
import pytest

from fibrewatch.results.throughput import Params, Result
from fibrewatch_agent.probes.throughput import deadline_s, ports_of
from fibrewatch_agent.transfer.end import pace_s
from fibrewatch_agent.transfer.figures import report_figures
from fibrewatch_agent.transfer.iperf3 import conclude
from tests.unit.agent.test_iperf3 import recorded


def result(name: str, streams: int = 1) -> Result:
    """What is made of a recorded report."""
    params = Params(direction="down" if name.startswith("down") else "up", streams=streams)
    return report_figures(params, conclude(recorded(name)), 5201)


def test_download_is_counted_by_the_box() -> None:
    found = result("down")
    assert found.goodput == pytest.approx(71587672 / 3.000065)
    assert found.transfer_duration == 3.000065
    assert found.transferred == 23974536 + 23842768 + 23851456 + 23893448, "the warm-up crossed the line too"
    assert found.intervals == pytest.approx([23842768, 23851456, 23893448], rel=1e-3)
    assert found.complete


def test_upload_is_counted_by_the_responder() -> None:
    found = result("up")
    assert found.goodput == pytest.approx(71799080 / 3.003957)
    assert found.transferred == 23967296 + 23890552 + 23923856 + 23935440 + 49232
    assert found.intervals == pytest.approx([23890552, 23923856, 23935440], rel=3e-3), "without the last 1.7 ms"


@pytest.mark.parametrize(
    ("name", "low", "mean", "high"),
    [
        ("down", 0.003408, 0.005975, 0.013673),
        ("up", 0.003978, 0.004835, 0.005453),
        ("down-4-streams", 0.008018, (0.008349 + 0.00841 + 0.008487 + 0.008511) / 4, 0.008891),
        ("up-4-streams", 0.008384, (0.008797 + 0.008888 + 0.008887 + 0.008857) / 4, 0.009557),
    ],
)
def test_rtt_is_the_senders_in_seconds(name: str, low: float, mean: float, high: float) -> None:
    found = result(name)
    assert (found.rtt_min, found.rtt_mean, found.rtt_max) == pytest.approx((low, mean, high))
    assert found.congestion == "bbr"
    assert found.retransmits == 0


def test_cpu_is_told_for_the_right_end_in_cores() -> None:
    down, up = result("down"), result("up")
    assert (down.cpu_local, down.cpu_remote) == pytest.approx((0.1398, 0.0128), abs=1e-4), "receiving costs more"
    assert (up.cpu_local, up.cpu_remote) == pytest.approx((0.0093, 0.1187), abs=1e-4)


def test_server_without_json_leaves_only_its_own_knowledge_out() -> None:
    down, up = result("down-server-without-json"), result("up-server-without-json")
    assert down.goodput is not None
    assert down.rtt_mean is None, "only the sender's TCP knows"
    assert down.transferred is not None
    assert up.goodput is not None
    assert up.rtt_mean is not None
    assert up.transferred is None
    assert len(up.intervals) == 2


def test_broken_download_keeps_what_arrived() -> None:
    found = result("down-server-killed")
    assert not found.complete
    assert found.transferred == 23949056 + 23936888 + 23907928
    assert found.goodput == pytest.approx((23936888 + 23907928) / 2, rel=1e-3)
    assert found.retransmits is None


def test_broken_upload_has_intervals_but_no_goodput_that_nobody_counted() -> None:
    found = result("up-server-killed")
    assert found.goodput is None
    assert found.transferred is None
    assert found.retransmits == 0
    assert found.intervals == pytest.approx([24174360, 23848560], rel=1e-3)


def test_interrupted_download_keeps_the_last_part_of_a_second_too() -> None:
    found = result("down-interrupted")
    assert found.transfer_duration == pytest.approx(2.31, abs=0.01)
    assert found.goodput == pytest.approx(23.92e6, rel=1e-3)
    assert len(found.intervals) == 2


@pytest.mark.parametrize("name", ["busy", "refused", "connect-timeout"])
def test_report_of_nothing_has_no_figures(name: str) -> None:
    assert result(name) == Result(direction="up", streams=1, port=5201, complete=False)


def test_unknowns_of_iperf3_are_none() -> None:
    run = conclude(
        b'{"end": {"sum_sent": {"retransmits": -1}, "sum_received": {"bytes": 5, "seconds": 0},'
        b' "cpu_utilization_percent": {"host_total": 0, "remote_total": 0},'
        b' "streams": [{"sender": {"min_rtt": 0, "mean_rtt": 0, "max_rtt": 0}}]}}'
    )
    found = report_figures(Params(direction="up", streams=1), run, 1)
    assert found == Result(direction="up", streams=1, port=1)


def test_every_recorded_result_is_valid_on_the_wire() -> None:
    for name in ("down", "up-4-streams", "down-server-killed", "up-interrupted"):
        found = result(name)
        assert msgspec.json.decode(msgspec.json.encode(found), type=Result) == found


def test_ports_are_each_tried_once_from_one_of_the_agents_own() -> None:
    params = Params(direction="up", ports=(5201, 5204))
    orders = {agent: list(ports_of(params, agent)) for agent in (f"paris/site-{n}/box" for n in range(400))}
    assert all(sorted(order) == [5201, 5202, 5203, 5204] for order in orders.values())
    assert orders == {agent: list(ports_of(params, agent)) for agent in orders}
    starts = Counter(order[0] for order in orders.values())
    assert len(starts) == 4
    assert min(starts.values()) > 60, "boxes spread over the range"


def test_ports_may_be_one_or_backwards() -> None:
    assert list(ports_of(Params(direction="up", ports=(7, 7)), "a/b/c")) == [7]
    assert sorted(ports_of(Params(direction="up", ports=(9, 7)), "a/b/c")) == [7, 8, 9]


def test_deadline_is_five_seconds_after_the_transfer() -> None:
    assert deadline_s(Params(direction="up", duration_s=10, omit_s=1)) == 16
    assert deadline_s(Params(direction="up", duration_s=0.5, omit_s=0)) == 6, "iperf3 takes whole seconds"


@pytest.mark.parametrize(
    ("duration_s", "judged", "expected"),
    [(10, True, 0.1), (10, False, 0.5), (60, False, 0.5), (8, False, 0.4), (1, False, 0.3)],
)
def test_a_transfer_that_takes_its_time_is_looked_at_seldom(duration_s: float, judged: bool, expected: float) -> None:
    assert pace_s(duration_s, judged=judged) == expected
