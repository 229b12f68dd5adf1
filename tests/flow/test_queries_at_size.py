"""Every expression of every panel and alert, at the size that an operator has."""

import pytest

from benchmarks.queries import HOUR_S, LIMIT_S, Stretch, measure

pytestmark = [pytest.mark.soak, pytest.mark.alone]


def test_no_expression_takes_a_second_over_six_hours_of_fifty_sites_with_four_boxes() -> None:
    """The best of five tries: what else the machine does is not the expression's fault."""
    found = measure(Stretch("6 hours", 6 * HOUR_S, 60), sites=50, agents=4, tries=5)
    assert len(found) > 600
    print("slowest:", [(round(seconds, 3), asked.place) for seconds, asked in found[:3]])
    assert not [(seconds, asked) for seconds, asked in found if seconds > LIMIT_S]
