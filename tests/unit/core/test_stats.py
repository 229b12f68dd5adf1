"""Statistics against worked examples and against independent definitions."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibrewatch import sketch, stats

delays = st.lists(st.floats(1e-6, 10), min_size=1, max_size=200)


def test_percentile_is_the_smallest_value_whose_share_reaches_q() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [stats.percentile(values, q) for q in (0.2, 0.5, 0.95, 1.0)] == [1.0, 3.0, 5.0, 5.0]
    assert stats.percentile(list(range(1, 21)), 0.95) == 19


def test_percentile_of_nothing_is_not_measured() -> None:
    assert stats.percentile([], 0.5) is None


@given(delays, st.floats(0.01, 1))
def test_percentile_agrees_with_the_definition_by_counting(values: list[float], q: float) -> None:
    found = stats.percentile(values, q)
    assert found is not None

    def share(limit: float) -> float:
        return sum(value <= limit for value in values) / len(values)

    assert share(found) >= q - 1e-9
    assert all(share(value) < q for value in values if value < found)


def test_ipdv_leaves_out_pairs_with_a_lost_packet() -> None:
    assert stats.ipdv([0.010, 0.012, None, 0.011, 0.010]) == [0.012 - 0.010, 0.010 - 0.011]
    assert stats.ipdv([0.010]) == []


@pytest.mark.parametrize(
    ("arrivals", "count"),
    [
        ([1, 2, 3, 5, 6, 7, 8, 4, 9, 10], 1),  # Table 1
        ([1, 2, 3, 4, 7, 5, 6, 8, 9, 10], 2),  # Table 2
        ([1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11], 3),  # Table 3
        ([1, 2, 3, 6, 7, 4, 5, 8, 9, 10, 12, 13, 11, 14, 15, 16], 3),  # Table 4: packets 4, 5 and 11
        ([1, 3, 5], 0),  # loss is no reordering
    ],
)
def test_reordered_counts_as_the_examples_of_rfc_4737_section_7(arrivals: list[int], count: int) -> None:
    assert stats.reordered(arrivals) == count


def test_ipdv_is_that_of_the_examples_of_rfc_5481_and_rfc_4737() -> None:
    assert stats.ipdv([20, 10, 20, 25, 20]) == [-10, 10, 5, -5]  # RFC 5481 Figure 1
    assert stats.ipdv([68, 68, 68, 150, 68, 68]) == [0, 0, 82, -82, 0]  # RFC 4737 Table 1, in sending order


def test_loss_ratio_of_nothing_sent_is_not_measured() -> None:
    assert stats.loss_ratio(0, 0) is None
    assert stats.loss_ratio(60, 3) == 0.05


@given(delays, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_sketch_quantile_is_within_its_stated_error(values: list[float], q: float) -> None:
    exact = stats.percentile(values, q)
    found = sketch.quantile(sketch.of(values), q)
    assert exact is not None
    assert found is not None
    assert math.isclose(found, exact, rel_tol=sketch.RELATIVE_ERROR * 1.0001)


@given(st.lists(delays, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_sketches_merge_in_any_order_to_the_sketch_of_all(parts: list[list[float]], rng: random.Random) -> None:
    whole = sketch.of(value for part in parts for value in part)
    rng.shuffle(parts)
    merged: sketch.Buckets = {}
    for part in parts:
        sketch.merge(merged, sketch.of(part))
    assert merged == whole


@given(st.floats(1e-9, 1e11))
def test_sketch_bucket_holds_its_value(value: float) -> None:
    i = sketch.index(value)
    assert sketch.upper_bound(i - 1) * (1 - 1e-9) <= value <= sketch.upper_bound(i) * (1 + 1e-9)


def test_sketch_takes_zero_and_the_absurd() -> None:
    assert sketch.of([0.0, -1.0]) == {sketch.MIN_INDEX: 2}
    assert sketch.of([1e300]) == {sketch.MAX_INDEX: 1}
    assert sketch.quantile({}, 0.5) is None
