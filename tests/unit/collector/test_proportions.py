"""Wilson's interval and the three answers, against published figures and an independent reckoning."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibrewatch_collector.sla.proportions import Tally, answer, interval, wilson


@pytest.mark.parametrize(
    ("met", "n", "low", "high"),
    [  # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_interval_is_the_published_one(met: int, n: int, low: float, high: float) -> None:
    assert wilson(met, n) == pytest.approx((low, high), abs=5e-5)


def test_95_percent_needs_73_passes_without_a_failure() -> None:
    assert answer(Tally(72, 0), 0.95) == "undecided"
    assert answer(Tally(73, 0), 0.95) == "pass"


def test_nothing_tested_says_nothing() -> None:
    assert answer(Tally(0, 0), 0.95) == "insufficient"
    assert answer(Tally(0, 0, open=50), 0.95) == "insufficient"


@given(met=st.integers(0, 500), missed=st.integers(0, 500))
def test_ends_solve_the_score_equation(met: int, missed: int) -> None:
    n = met + missed
    if not n:
        return
    for end in wilson(met, n):
        if 0 < end < 1:
            assert abs(met / n - end) == pytest.approx(1.959963984540054 * math.sqrt(end * (1 - end) / n), rel=1e-6)


@given(met=st.integers(0, 300), missed=st.integers(0, 300), undecided=st.integers(0, 300), asked=st.floats(0.01, 0.999))
def test_an_answer_holds_whatever_the_open_tests_would_have_shown(
    met: int, missed: int, undecided: int, asked: float
) -> None:
    found = answer(Tally(met, missed, undecided), asked)
    if found in ("pass", "fail"):
        for shown in (0, undecided // 2, undecided):
            assert answer(Tally(met + shown, missed + undecided - shown), asked) == found


@given(met=st.integers(0, 300), missed=st.integers(0, 300))
def test_open_tests_only_widen(met: int, missed: int) -> None:
    closed, wide = interval(Tally(met, missed)), interval(Tally(met, missed, 1))
    assert wide.low <= closed.low
    assert closed.high <= wide.high or met + missed == 0
