"""Burn rates: which alerts can be, which can't, and the minutes that they are made of."""

import pytest

from fibrewatch_collector.sla import burn
from fibrewatch_collector.sla.burn import DEFAULTS, Burn
from fibrewatch_collector.sla.minutes import Minutes
from fibrewatch_collector.sla.objectives import Objective
from fibrewatch_collector.store import Bin
from tests.unit.collector.runs import T0

FAST, SLOW, DRIFT = DEFAULTS
AT = ("paris", "cargo", "fibre")


def net(asked: float) -> Objective:
    return Objective(id="net", kind="availability", asked=asked)


def bin_of(number: int, state: str = "A", cause: str | None = None, at: tuple[str, str, str] = AT) -> Bin:
    return Bin(*at, T0 + 60 * number, state, cause, 2)  # type: ignore[arg-type]


def test_three_nines_have_all_three_alerts() -> None:
    assert [burn.infeasible(net(0.999), each) for each in DEFAULTS] == [None] * 3


@pytest.mark.parametrize(("asked", "never"), [(0.9305, True), (0.9306, False), (0.9, True), (0.95, False)])
def test_a_burn_of_14_4_never_fires_below_93_06_per_cent(asked: float, never: bool) -> None:
    fault = burn.infeasible(net(asked), FAST)
    assert (fault is not None and "it can never fire" in fault and "above 93.06 %" in fault) is never


@pytest.mark.parametrize(("long_s", "alone"), [(3600, True), (4140, True), (4200, False), (7200, False)])
def test_one_minute_of_an_hour_is_more_than_three_nines_allow(long_s: float, alone: bool) -> None:
    fault = burn.infeasible(net(0.999), Burn(id="fast", factor=14.4, long_s=long_s, short_s=300))
    assert (
        fault is not None and "fires on a single sample" in fault and "lengthen the window to 70m" in fault
    ) is alone


@pytest.mark.parametrize(("asked", "factor"), [(0.9, 10), (0.95, 20), (0.98, 50), (0.5, 2), (0.7, 1 / 0.3)])
def test_all_of_a_window_is_never_more_than_all(asked: float, factor: float) -> None:
    assert "never fire" in (burn.infeasible(net(asked), Burn(id="x", factor=factor, long_s=7200, short_s=600)) or "")


def test_a_promise_without_any_fault_has_no_burn_rate() -> None:
    assert "single sample" in (burn.infeasible(net(1.0), DRIFT) or "")


def test_loss_is_counted_in_packets() -> None:
    loss = Objective(id="loss", kind="loss", metric="ping", asked=0.001)
    assert burn.infeasible(loss, FAST) is None
    assert "never fire" in (burn.infeasible(Objective(id="l", kind="loss", metric="ping", asked=0.1), FAST) or "")
    one_in_a_million = Objective(id="l", kind="loss", metric="ping", asked=1e-6)
    assert "single sample" in (burn.infeasible(one_in_a_million, FAST) or "")


def test_an_objective_names_its_alerts() -> None:
    assert burn.chosen(Objective(id="net", kind="availability", asked=0.9, burn=("slow",)), DEFAULTS) == [SLOW]
    assert burn.chosen(Objective(id="net", kind="availability", asked=0.9, burn=()), DEFAULTS) == []
    assert burn.chosen(Objective(id="w", kind="coverage", asked=0.9), DEFAULTS) == []


@pytest.mark.parametrize("wrong", [{"long_s": 300, "short_s": 300}, {"long_s": 3601, "short_s": 300}])
def test_windows_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"short|whole"):
        Burn(id="x", factor=2, **wrong)


def test_share_counts_the_operators_minutes_alone() -> None:
    minutes = Minutes(600)
    said = [("A", None), ("U", "access"), ("U", "operator"), ("U", "unknown"), ("N", "silent"), ("N", "lan")]
    minutes.put([bin_of(n, *each) for n, each in enumerate(said)], lambda each: False)
    assert minutes.shares(600) == {AT: 0.2}
    assert minutes.shares(300) == {AT: 0.4}


def test_declared_work_is_left_out_of_the_share() -> None:
    minutes = Minutes(600)
    minutes.put([bin_of(n, "U", "access") for n in range(10)], lambda each: each.minute < T0 + 300)
    assert minutes.shares(600) == {AT: 1.0}
    minutes.put([bin_of(n) for n in range(5, 10)], lambda each: False)
    assert minutes.shares(600) == {AT: 0.0}
    minutes.put([bin_of(n) for n in range(10)], lambda each: True)
    assert minutes.shares(600) == {AT: 0.0}


def test_what_is_old_leaves_the_ring_and_a_late_minute_is_restated() -> None:
    minutes = Minutes(600)
    minutes.put([bin_of(0, "U", "access"), bin_of(1, "N", "silent")], lambda each: False)
    minutes.put([bin_of(9)], lambda each: False)
    assert minutes.shares(600) == {AT: 0.1}
    minutes.put([bin_of(1, "U", "access")], lambda each: False)
    assert minutes.shares(600) == {AT: 0.2}
    minutes.put([bin_of(10)], lambda each: False)
    assert minutes.shares(600) == {AT: 0.1}
    minutes.put([bin_of(0, "U", "access")], lambda each: False)  # too old by now
    assert minutes.shares(600) == {AT: 0.1}
    minutes.put([bin_of(500, at=("paris", "other", "fibre"))], lambda each: False)
    assert minutes.shares(600)[AT] == 0.0
