"""A quantile against its limit: a verdict only where that many samples can carry one."""

import random

import pytest

from fibrewatch import sketch
from fibrewatch_collector.report.distribution import EXACT, Distribution
from fibrewatch_collector.sla import proportions
from fibrewatch_collector.sla.proportions import Tally


@pytest.mark.parametrize(
    ("values", "q", "answer"),
    [
        ([], 0.95, "insufficient"),
        ([0.004], 0.95, "undecided"),
        ([0.004, 0.004], 0.5, "undecided"),
        ([0.004] * 4, 0.5, "pass"),
        ([0.004] * 72, 0.95, "undecided"),
        ([0.004] * 73, 0.95, "pass"),
        ([0.5], 0.95, "fail"),
        ([0.5], 0.5, "undecided"),
        ([0.01] * 73, 0.95, "pass"),
        ([-0.003] * 73, 0.95, "pass"),
    ],
)
def test_few_samples_prove_no_quantile(values: list[float], q: float, answer: str) -> None:
    """A limit of 10 ms that is just reached is kept; one delay in a month says nothing of its 95th percentile."""
    assert proportions.answer(Distribution({}, values).at_most(0.01), q) == answer


def test_samples_within_a_limit_are_counted_as_plain_loops_do() -> None:
    draw = random.Random(4)
    for _ in range(200):
        values = [
            draw.choice([draw.lognormvariate(-5, 2), draw.uniform(-0.01, 0.0)]) for _ in range(draw.randrange(90))
        ]
        limit = draw.choice([draw.lognormvariate(-5, 2), *(value for value in values if value > 0)])
        met = sum(value <= limit for value in values)
        assert Distribution({}, values).at_most(limit) == Tally(met, len(values) - met)
        found = Distribution(sketch.of(values), []).at_most(limit)
        assert sum(value <= limit / 1.0203 for value in values) <= found.met <= met
        assert sum(value > limit * 1.0203 for value in values) <= found.missed <= len(values) - met
        assert sum(found) == len(values)


def test_what_was_rounded_may_lie_on_either_side() -> None:
    found = Distribution(sketch.of([0.0101] * 3 + [0.02] * 2), []).at_most(0.0101, 0.0002)
    assert found == Tally(0, 2, 3)


def test_many_single_values_go_into_the_sketch() -> None:
    found = Distribution({}, [0.001] * EXACT + [0.5])
    assert (found.at_most(0.01), found.relative_error) == (Tally(EXACT, 1), sketch.RELATIVE_ERROR)
