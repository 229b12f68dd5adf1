"""stamp's and voice's figures from known packets."""

from collections.abc import Sequence
from typing import Any

import pytest

from fibrewatch import sketch
from fibrewatch.results import voice
from fibrewatch.results.stamp import Result
from fibrewatch_agent.stamp import voice as voice_summary
from fibrewatch_agent.stamp.ledger import Ledger
from fibrewatch_agent.stamp.packets import ErrorEstimate, Reply
from fibrewatch_agent.stamp.session import StampPacket
from fibrewatch_agent.stamp.summary import Window, round_trip, summarise

NS = 1_000_000_000
SYNCHRONISED = ErrorEstimate(synchronised=True, ptp=False, seconds=0.0005)


def packet(
    number: int, forward_s: float | None = 0.010, backward_s: float = 0.020, held_s: float = 0.001, **changes: Any
) -> StampPacket:
    """A packet of `number` seconds since 1970; None: never answered."""
    made = StampPacket(number, "10.0.0.1", number * NS, number * NS, tx_ns=number * NS, clock_bound_s=0.0005)
    if forward_s is not None:
        made.there_ns = made.sent_wall_ns + round(forward_s * NS)
        made.away_ns = made.there_ns + round(held_s * NS)
        made.back_ns = made.away_ns + round(backward_s * NS)
        made.rtt_s = (made.back_ns - made.sent_wall_ns) / NS
        made.replies, made.stamps, made.followed = 1, "kernel", True
        made.reply = Reply(number, 0, SYNCHRONISED, 9, 0, number, 0, 250, b"")
        made.dscp_there, made.dscp_away, made.dscp_back, made.ttl_back = 46, 46, 0, 251
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def estimate(made: StampPacket, **changes: Any) -> StampPacket:
    assert made.reply is not None
    made.reply = made.reply._replace(estimate=SYNCHRONISED._replace(**changes))
    return made


def window(packets: Sequence[StampPacket], timeout_s: float = 2.0) -> Window:
    arrivals = [each.number for each in packets if each.replies]
    return Window(packets, arrivals, timeout_s, start_mono=0.0)


def figures(*packets: StampPacket, ledger: Ledger | None = None) -> Result:
    return summarise(window(packets), ledger or Ledger(), dscp=46, authenticated=False)


def test_delays_are_those_of_the_line_alone() -> None:
    result = figures(packet(0), packet(1, 0.012, 0.020), packet(2, 0.010, 0.026, held_s=1.0))
    assert (result.rtt_min, result.rtt_p50, result.rtt_max) == (0.030, 0.032, 0.036)
    assert (result.owd_forward_min, result.owd_forward_p50, result.owd_forward_p99) == (0.010, 0.010, 0.012)
    assert (result.owd_backward_min, result.owd_backward_p50, result.owd_backward_p99) == (0.020, 0.020, 0.026)
    assert result.owd_uncertainty == 0.001
    assert (result.ipdv_p50, result.ipdv_p95) == (0.002, 0.004)
    assert (result.ipdv_forward_p95, result.ipdv_backward_p95) == (0.002, 0.006)
    assert (result.pdv_p99, result.pdv_forward_p99, result.pdv_backward_p99) == (0.006, 0.002, 0.006)
    assert (result.dscp_sent, result.dscp_forward, result.dscp_reflected, result.dscp_backward) == (46, 46, 46, 0)
    assert (result.ttl_forward, result.ttl_backward, result.follow_ups) == (250, 251, 3)
    assert (result.owd_forward, result.owd_backward) == (
        sketch.of([0.010, 0.012, 0.010]),
        sketch.of([0.020, 0.020, 0.026]),
    )
    assert result.ipdv is not None
    assert (sum(result.ipdv.values()), sketch.quantile(result.ipdv, 1.0)) == (2, pytest.approx(0.004, rel=0.0101))


@pytest.mark.parametrize(
    "spoilt",
    [
        packet(1, clock_bound_s=None),
        estimate(packet(1), synchronised=False),
        estimate(packet(1), ptp=True),
        estimate(packet(1), seconds=0.1),  # more than the half of the least round trip: no clock tells as much
    ],
)
def test_one_way_delays_that_the_clocks_cannot_support_are_not_measured(spoilt: StampPacket) -> None:
    result = figures(packet(0), spoilt)
    one_way = [getattr(result, f"owd_{way}_{which}") for way in ("forward", "backward") for which in ("min", "p50")]
    assert [*one_way, result.owd_uncertainty] == [None] * 5
    assert result.rtt_p50 == 0.030
    assert result.ipdv_forward_p95 == 0.0  # differences need no common clock


def test_clocks_that_differ_leave_round_trips_and_variation_true() -> None:
    ahead = [packet(n, 5.0 + n / 1000, 0.020 - 5.0) for n in range(3)]  # the reflector's is 5 s ahead
    for each in ahead:
        estimate(each, synchronised=False)
        each.rtt_s = (each.back_ns - each.sent_wall_ns) / NS
    result = figures(*ahead)
    assert result.rtt_min == 0.020
    assert result.ipdv_forward_p95 == 0.001
    assert result.owd_forward_p50 is None


def test_a_reflector_that_claims_more_time_than_there_was_is_not_believed() -> None:
    made = packet(0)
    made.away_ns = made.there_ns + NS
    assert round_trip(made) == made.rtt_s
    made.away_ns = made.there_ns - 1
    assert round_trip(made) == made.rtt_s


def test_a_step_of_the_boxs_clock_spoils_one_way_delays_only() -> None:
    result = figures(packet(0), packet(1, stepped=True), packet(2, 0.010, 0.020))
    assert result.rtt_max == 0.030
    assert result.owd_forward_p50 == 0.010
    assert result.ipdv_forward_p95 is None  # no two neighbours of one clock


def test_losses_late_replies_and_what_never_left() -> None:
    ledger = Ledger()
    for sender, reflector in ((0, 0), (2, 1), (4, 3)):  # 1 was lost going, 3 coming back
        ledger.note(sender, reflector)
    cut = packet(-1, None, error="unreachable")
    late = packet(4, replies=2)
    late.rtt_s = 2.5
    result = figures(packet(0), packet(1, None), packet(2), packet(3, None), late, cut, ledger=ledger)
    assert (result.sent, result.lost, result.late, result.duplicates) == (6, 4, 1, 1)
    assert (result.lost_forward, result.lost_backward, result.lost_undetermined) == (2, 1, 0)
    assert (result.loss_forward_ratio, result.loss_backward_ratio) == (round(2 / 6, 9), 0.25)
    assert result.first_lost_at_s == 1.0
    assert result.stateful is True


def test_nothing_measured_is_none_not_zero() -> None:
    result = figures(packet(0, None), packet(1, None))
    assert result == Result(
        sent=2, lost=2, deadline=2.0, loss_ratio=1.0, dscp_sent=46, follow_ups=0, first_lost_at_s=0.0
    )
    assert figures() == Result(sent=0, lost=0, deadline=2.0, dscp_sent=46, follow_ups=0)


def call(packets: Sequence[StampPacket], ledger: Ledger | None = None, **params: Any) -> voice.Result:
    made = window(packets)
    line = summarise(made, ledger or Ledger(), dscp=46, authenticated=False)
    return voice_summary.summarise(made, line, voice.Params(**params))


def test_a_calls_delay_is_that_of_the_worse_way_its_buffer_and_its_packets() -> None:
    result = call([packet(n) for n in range(10)], jitter_buffer_s=0.05)
    assert result.basis == "one_way"
    assert result.mouth_to_ear == pytest.approx(0.020 + 0.05 + 0.020)
    assert (result.delay, result.variation, result.loss_ratio) == (0.020, 0.0, 0.0)
    assert (result.ready, result.missed, result.discarded) == (True, (), 0)
    assert result.g711_r == pytest.approx(90.9, abs=0.2)  # 93.2 less the echo after 90 ms


def test_without_clocks_half_the_round_trip_stands_for_one_way() -> None:
    result = call([estimate(packet(n), synchronised=False) for n in range(10)])
    assert (result.basis, result.delay) == ("half_round_trip", 0.015)
    assert result.mouth_to_ear == pytest.approx(0.015 + 0.04 + 0.020)


def test_packets_too_late_for_the_buffer_are_as_lost_but_not_the_lines_loss() -> None:
    packets = [packet(n, 0.010 if n % 10 else 0.060) for n in range(100)]
    result = call(packets, jitter_buffer_s=0.04)
    assert (result.discarded, result.loss_ratio) == (10, 0.0)
    assert call(packets, jitter_buffer_s=0.06).discarded == 0
    assert result.g711_r is not None
    assert call(packets, jitter_buffer_s=0.06).g711_r - result.g711_r > 20  # type: ignore[operator]


def test_the_worse_way_counts_where_losses_have_directions() -> None:
    ledger, packets, count = Ledger(), [], 0
    for number in range(100):
        gone = number % 20 == 10
        if not gone:
            ledger.note(number, count)
            count += 1
        packets.append(packet(number, None if gone else 0.01))
    told = call(packets, ledger)
    assert (told.one_way_loss, told.loss_ratio, told.missed) == (True, 0.05, ("loss",))
    assert told.burst_ratio == pytest.approx(0.95)
    untold = call(packets)
    assert (untold.one_way_loss, untold.loss_ratio) == (False, 0.05)


@pytest.mark.parametrize(
    ("params", "missed"),
    [
        ({}, ("delay",)),
        ({"service_class": "6"}, ("delay",)),
        ({"service_class": "1"}, ()),
        ({"service_class": "7"}, ()),
        ({"max_delay_s": 0.2}, ()),
        ({"service_class": "1", "max_variation_s": 0.001}, ("variation",)),
        ({"service_class": "1", "max_delay_s": 0.149, "max_variation_s": 0.001}, ("delay", "variation")),
    ],
)
def test_ready_is_by_the_class_or_by_what_is_set(params: dict[str, Any], missed: tuple[str, ...]) -> None:
    result = call([packet(n, 0.150 + (n == 5) * 0.002, 0.010) for n in range(10)], **params)
    assert result.missed == missed
    assert result.ready is not bool(missed)


def test_a_burst_without_replies_has_no_opinion() -> None:
    result = call([packet(n, None) for n in range(5)])
    assert (result.sent, result.lost, result.ready, result.g711_mos) == (5, 5, None, None)


def test_the_presets_are_those_of_y1541() -> None:
    assert voice.Params(service_class="0").objectives == (0.1, 0.05, 1e-3)
    assert voice.Params(service_class="7").objectives == (0.4, 0.05, 1e-5)


def test_variation_is_of_the_quantile_that_the_class_names() -> None:
    packets = [packet(n, 0.060 if n in (5, 6) else 0.010) for n in range(2000)]
    assert call(packets, service_class="0").variation == 0.0  # the 1998th of 2000
    assert call(packets, service_class="7").variation == pytest.approx(0.050)  # 1 - 10^-5: the greatest


def test_variation_is_that_of_the_example_of_rfc_5481() -> None:
    result = figures(*(packet(n, delay) for n, delay in enumerate((0.020, 0.010, 0.020, 0.025, 0.020))))
    assert result.pdv_forward_p99 == pytest.approx(0.015)  # Figure 1: PDV 10 0 10 15 10
    assert result.ipdv_forward_p95 == pytest.approx(0.010)  # IPDV -10 10 5 -5


@pytest.mark.parametrize(
    ("away", "back", "expected"),
    [(46, 46, 46), (46, 0, 0), (10, 8, 8), (0, 0, None), (None, 0, None), (None, 46, None)],
)
def test_the_way_back_is_judged_by_what_the_reflector_says_it_sent(
    away: int | None, back: int, expected: int | None
) -> None:
    result = figures(packet(0, dscp_away=away, dscp_back=back))
    assert (result.dscp_reflected, result.dscp_backward) == (away, expected)
