"""From a receiver's reports to the result, by reports written by hand."""

from typing import Any

import pytest

from fibrewatch.results.capacity import Params
from fibrewatch_agent.capacity.figures import complaint, limits_of, result_of
from fibrewatch_agent.capacity.messages import End, Feedback
from fibrewatch_agent.capacity.order import Outcome

PARAMS = Params(direction="down", packet_bytes=1000)
END = End(sent=4000, met=3, top=2e6, cpu=0.4, stopped="duration")


def reports(received: list[int], every_s: float = 0.5, **more: Any) -> list[Feedback]:
    """One each half second with these sums."""
    empty: dict[str, Any] = {"lost": 0, "reordered": 0, "duplicates": 0, "drops": 0, "packets": 0, "errors": 0}
    empty |= {"delay_s": 0.001, "delay_min_s": -5.0, "delay_max_s": -4.99, "cpu_s": 0.0}
    return [
        Feedback(number=i, at_ns=round((10 + i * every_s) * 1e9), received=sum_, **empty | _at(more, i))
        for i, sum_ in enumerate(received)
    ]


def _at(lists: dict[str, Any], i: int) -> dict[str, Any]:
    return {name: values[i] for name, values in lists.items()}


def outcome(received: list[int], end: End | None = END, **more: Any) -> Outcome:
    return Outcome(reports=reports(received, **more), end=end)


def test_capacity_is_the_best_second_from_the_first_packet_on() -> None:
    seen = outcome([0, 0, 100, 300, 900, 1500, 1900, 2100])
    result = result_of(PARAMS, seen)
    assert result.intervals == (300_000.0, 1_200_000.0, 600_000.0)
    assert result.capacity == 1_200_000.0
    assert (result.transferred, result.transfer_duration) == (2_100_000, 3.5)
    assert (result.stopped, result.offered, result.cpu_remote) == ("duration", 2e6, 0.4)


def test_loss_reordering_and_delay_are_those_of_that_second() -> None:
    seen = outcome(
        [0, 100, 200, 500, 900, 950],
        lost=[0, 50, 50, 60, 150, 150],
        reordered=[0, 0, 0, 7, 14, 14],
        delay_min_s=[0, -1.0, -1.0, 0.2, 0.3, 0.1],
        delay_max_s=[0, 9.0, 1.0, 0.4, 0.5, 0.6],
    )
    result = result_of(PARAMS, seen)
    assert result.capacity == 700_000.0
    assert result.loss_ratio == pytest.approx(100 / 800)
    assert result.reordered_ratio == pytest.approx(14 / 700)
    assert result.delay_range == pytest.approx(0.3)
    assert result.loss_ratio_total == pytest.approx(150 / 1100)


def test_nothing_received_is_nothing_measured() -> None:
    result = result_of(PARAMS, outcome([0, 0, 0]))
    assert result.capacity is None
    assert result.intervals == ()
    assert result_of(PARAMS, Outcome(error="timeout")).complete is False


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, set()),
        ({"end": End(sent=4000, met=2, top=2e6, cpu=0.4, stopped="duration")}, {"offered_load"}),
        ({"end": End(sent=4000, met=9, top=2e6, cpu=0.96, stopped="duration")}, {"cpu_saturated"}),
        ({"drops": [0, 0, 0, 0, 3]}, {"cpu_saturated"}),
        ({"drops": [0, 0, 0, 0, 1]}, set()),
        ({"cpu_s": [0, 0, 0.1, 0.6, 1.1]}, {"cpu_saturated"}),
    ],
)
def test_what_was_the_limit_if_not_the_line(change: dict[str, Any], reasons: set[str]) -> None:
    seen = outcome([0, 500, 1000, 1500, 2000], **change)
    assert {reason for _, reason in limits_of(result_of(PARAMS, seen), seen)} == reasons


@pytest.mark.parametrize(
    ("received", "said"), [([0, 100, 90], "backwards"), ([0, 100, 4001], "more packets than"), ([0, 100, 4000], None)]
)
def test_receiver_that_lies_is_not_believed(received: list[int], said: str | None) -> None:
    complained = complaint(PARAMS, outcome(received))
    assert (complained is None) if said is None else (complained is not None and said in complained)
