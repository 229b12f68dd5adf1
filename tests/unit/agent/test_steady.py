"""When a rate has converged: on curves of known shape, and on recorded ones."""

import json
import math
import random
from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch_agent.transfer.steady import FLOOR, Estimate, Point, Rule, Sample, curve, estimate

CURVES = Path(__file__).parent / "recorded/curves"
STEP_S = 0.1
RATE = 117e6
LONGEST_S = 30.0

Shape = Callable[[float], float]
"""Bytes per second at a moment."""


def points(shape: Shape, duration_s: float = LONGEST_S) -> list[Point]:
    """What comes through by ten moments a second."""
    moments = [STEP_S * n for n in range(round(duration_s / STEP_S) + 1)]
    moved = accumulate((shape(at + STEP_S / 2) * STEP_S for at in moments[:-1]), initial=0.0)
    return [Point(at, total) for at, total in zip(moments, moved, strict=True)]


def ended(all_points: list[Point], rule: Rule | None = None) -> Estimate | None:
    """The estimate at which the transfer would have been ended; None when it would not."""
    wanted = rule or Rule()
    found = (estimate(all_points[:n], wanted.warm_up_s) for n in range(2, len(all_points) + 1))
    return next((each for each in found if wanted.met(each)), None)


def mean(all_points: list[Point], begin_s: float = 0.0) -> float:
    """Of the whole, or from a moment on."""
    rest = [each for each in all_points if each.at_s >= begin_s]
    return (rest[-1].bytes - rest[0].bytes) / (rest[-1].at_s - rest[0].at_s)


def slow_start(rtt_s: float) -> Shape:
    """Doubles each round trip from ten segments until the line is full."""
    return lambda at: min(RATE, 10 * 1448 / rtt_s * 2 ** min(at / rtt_s, 60))


def cubic(period_s: float) -> Shape:
    """Without a buffer: 0.7 of the rate after each loss, back by a cubic to it (RFC 9438 §4.2)."""
    return lambda at: RATE * (1 - 0.3 * (1 - at % period_s / period_s) ** 3)


def noisy(seed: int, share: float) -> Shape:
    """Independent steps of a tenth of a second."""
    rng = random.Random(seed)
    steps = [max(0.0, rng.gauss(1, share)) for _ in range(round(LONGEST_S / STEP_S) + 1)]
    return lambda at: RATE * steps[int(at / STEP_S)]


def bimodal(seed: int, dwell_s: float) -> Shape:
    """A radio that changes between its full and its half rate at random moments."""
    rng = random.Random(seed)
    modes = list(accumulate((rng.random() < STEP_S / dwell_s for _ in range(400)), lambda a, b: a ^ b))
    return lambda at: RATE * (0.5 if modes[int(at / STEP_S)] else 1.0)


def test_constant_rate_ends_at_the_least_time_with_the_least_error() -> None:
    found = ended(points(lambda _: RATE))
    assert found is not None
    assert found.end_s == pytest.approx(3.0, abs=0.15)
    assert found.rate == pytest.approx(RATE)
    assert found.error == pytest.approx(FLOOR)
    assert found.rate * found.end_s < 0.6e9, "a gigabit test"


@pytest.mark.parametrize("rtt_s", [0.002, 0.02, 0.1, 0.15, 0.3])
def test_slow_start_is_left_out_however_long_it_takes(rtt_s: float) -> None:
    full = rtt_s * math.log2(RATE * rtt_s / 14480) if RATE * rtt_s > 14480 else 0.0
    found = ended(points(slow_start(rtt_s)))
    assert found is not None
    assert found.rate == pytest.approx(RATE, rel=found.error)
    assert found.begin_s >= full - 3 * STEP_S
    assert found.end_s <= max(3.15, 2.5 * full + 2.0)


@pytest.mark.parametrize("period_s", [0.2, 0.5, 1.0, 2.0])
def test_sawtooth_of_cubic_is_averaged(period_s: float) -> None:
    shape = points(cubic(period_s))
    found = ended(shape)
    assert found is None or found.rate == pytest.approx(mean(shape), rel=found.error)
    assert period_s > 0.5 or found is not None


@pytest.mark.parametrize(("at_s", "to"), [(1.5, 0.5), (2.0, 0.9), (2.5, 1.3), (2.9, 0.3)])
def test_step_before_the_end_is_waited_out(at_s: float, to: float) -> None:
    found = ended(points(lambda at: RATE if at < at_s else RATE * to))
    assert found is not None
    assert found.rate == pytest.approx(RATE * to, rel=found.error), "the rate that lasted, not a credit at the start"
    assert found.begin_s >= at_s - 1e-6


def test_ramp_does_not_converge() -> None:
    found = ended(points(lambda at: RATE * (0.2 + 0.8 * at / LONGEST_S)))
    assert found is None or found.rate == pytest.approx(RATE * (0.2 + 0.8 * found.end_s / LONGEST_S), rel=0.1)
    assert ended(points(lambda at: RATE * (0.2 + 0.8 * at / LONGEST_S), 6.0)) is None


def test_rate_that_grows_ever_slower_ends_near_where_it_goes() -> None:
    found = ended(points(lambda at: RATE * (1 - math.exp(-at / 1.5))))
    assert found is not None
    assert found.rate == pytest.approx(RATE, rel=found.error)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.2])
def test_noise_is_within_the_stated_error_in_nearly_all_runs(share: float) -> None:
    runs = [(points(noisy(seed, share)), seed) for seed in range(60)]
    found = [(ended(each), mean(each, 1.0)) for each, _ in runs]
    missed = [(stop, truth) for stop, truth in found if stop and abs(stop.rate / truth - 1) > stop.error]
    assert len(missed) <= 3, "95 % of 60"
    assert sum(stop is not None for stop, _ in found) >= (60 if share <= 0.05 else 0)


def test_line_that_changes_between_two_rates_is_not_taken_for_steady() -> None:
    assert not [seed for seed in range(40) if ended(points(bimodal(seed, 0.3)))]


@pytest.mark.parametrize(("dwell_s", "most"), [(1.0, 20), (3.0, 40)])
def test_rate_that_lasts_for_seconds_is_told_as_the_one_of_the_last_seconds(dwell_s: float, most: int) -> None:
    found = [stop for seed in range(40) if (stop := ended(points(bimodal(seed, dwell_s))))]
    assert len(found) <= most
    assert all(min(abs(each.rate / mode - 1) for mode in (RATE, RATE / 2)) <= 2 * each.error for each in found)


def test_burst_of_a_queue_that_empties_does_not_count() -> None:
    found = ended(points(lambda at: 4 * RATE if at < 0.7 else RATE))
    assert found is not None
    assert found.rate == pytest.approx(RATE, rel=found.error)


def test_stalls_delay_the_end_and_are_counted() -> None:
    found = ended(points(lambda at: 0.0 if at % 1.0 > 0.9 else RATE))
    assert found is not None
    assert found.rate == pytest.approx(0.9 * RATE, rel=found.error)
    assert found.end_s > 4


def test_nothing_moves_is_no_estimate() -> None:
    assert estimate(points(lambda _: 0.0, 5.0), 1.0) is None
    assert estimate([], 1.0) is None
    assert estimate(points(lambda _: RATE, 0.1), 1.0) is None


def test_few_moments_tell_a_rate_but_no_error() -> None:
    found = estimate(points(lambda _: RATE, 0.4), 1.0)
    assert found is not None
    assert found.rate == pytest.approx(RATE)
    assert found.error == math.inf
    assert not Rule(least_s=0.0).met(found)


def test_all_samples_at_one_moment_are_no_estimate() -> None:
    assert estimate([Point(1.0, float(n)) for n in range(50)], 1.0) is None


def test_warm_up_is_half_of_a_short_transfer_at_most() -> None:
    found = estimate(points(lambda _: RATE, 2.0), 5.0)
    assert found is not None
    assert found.begin_s == pytest.approx(1.0)


def test_bytes_behind_a_gap_have_come_through() -> None:
    segments = [1000 * n for n in range(100)]
    in_order = [1448 * n if not 40_000 < n < 46_000 else 1448 * 40_000 for n in segments]
    samples = [Sample(n * STEP_S, b, s) for n, (b, s) in enumerate(zip(in_order, segments, strict=True))]
    assert [each.bytes for each in curve(samples)] == pytest.approx([1448.0 * n for n in segments])


def test_transfer_that_ends_in_a_gap_is_not_overcounted() -> None:
    samples = [Sample(n * STEP_S, 1448 * 1000 * min(n, 80), 1000 * n) for n in range(100)]
    assert curve(samples)[-1].bytes == pytest.approx(1448 * 99_000)


def test_duplicates_are_not_goodput() -> None:
    samples = [Sample(n * STEP_S, 1448 * 900 * n, 1000 * n) for n in range(100)]
    found = estimate(curve(samples), 1.0)
    assert found is not None
    assert found.rate == pytest.approx(1448 * 9000)


def test_kernel_that_counts_no_segments_leaves_the_bytes() -> None:
    assert curve([Sample(0.0, 0), Sample(1.0, 7)]) == [Point(0.0, 0), Point(1.0, 7)]
    assert curve([]) == []


def _recorded(name: str) -> tuple[list[Sample], float]:
    content: dict[str, Any] = json.loads((CURVES / f"{name}.json").read_text("utf-8"))
    return [Sample(*each) for each in content["samples"]], content["goodput"]


@pytest.mark.parametrize(
    ("name", "longest_s"),
    [
        ("20mbit-down-1-200ms", 8.0),
        ("20mbit-up-4-200ms", 8.0),
        ("200mbit-down-4-200ms", 4.0),
        ("900mbit-up-4-200ms", 4.0),
        ("900mbit-down-1-20ms", 8.5),
        ("200mbit-up-1-20ms", 31.0),
    ],
)
def test_recorded_transfer_ends_early_within_its_error_of_the_half_minute(name: str, longest_s: float) -> None:
    samples, goodput = _recorded(name)
    stops = (
        found
        for n in range(2, len(samples), 2)
        if Rule().met(found := estimate(curve(samples[:n]), 1.0)) and found is not None
    )
    found = next(stops, None) or estimate(curve(samples), 1.0)
    assert found is not None
    assert found.end_s <= longest_s
    assert found.rate == pytest.approx(goodput, rel=found.error)
    assert abs(found.rate / goodput - 1) < 0.03


@settings(max_examples=200, deadline=None)
@given(
    rates=st.lists(st.floats(0, 1e10), min_size=10, max_size=200),
    warm_up=st.floats(0, 10),
    scale=st.floats(1e-3, 1e3),
)
def test_estimate_is_of_what_it_saw_and_scales_with_it(rates: list[float], warm_up: float, scale: float) -> None:
    moved = list(accumulate((rate * STEP_S for rate in rates), initial=0.0))
    seen = [Point(n * STEP_S, each) for n, each in enumerate(moved)]
    found = estimate(seen, warm_up)
    if found is None:
        return
    assert min(rates) * 0.999 <= found.rate <= max(rates) * 1.001
    assert found.error >= FLOOR
    assert seen[0].at_s + min(warm_up, seen[-1].at_s / 2) - 1e-9 <= found.begin_s < found.end_s == seen[-1].at_s
    again = estimate([Point(at, each * scale) for at, each in seen], warm_up)
    assert again is not None
    assert again.rate == pytest.approx(found.rate * scale, rel=0.05)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 7000)), max_size=80))
def test_curve_never_falls_nor_exceeds_what_segments_could_carry(steps: list[tuple[int, int]]) -> None:
    bytes_, segments = 0, 0
    samples = []
    for n, (more, some) in enumerate(steps):
        bytes_, segments = bytes_ + more, segments + some
        samples.append(Sample(n * STEP_S, bytes_, segments))
    found = [each.bytes for each in curve(samples)]
    assert all(a <= b for a, b in pairwise(found))
