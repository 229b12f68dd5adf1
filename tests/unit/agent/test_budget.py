"""A month's bytes: counted whatever happens, and lasting."""

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from fibrewatch_agent.line.budget import Account, Planned, charged, cost_of, month_of, observed, pace, slot

HOUR_S, DAY_S, MONTH_S = 3600.0, 86400.0, 30 * 86400.0
TEST = Planned("download/far", HOUR_S, 600e6, heavy=True)


def test_the_month_ends_by_the_sites_clock() -> None:
    moment = datetime(2026, 10, 31, 22, 30, tzinfo=UTC).timestamp()
    assert month_of(moment, ZoneInfo("Europe/Paris")) == ("2026-10", 1800.0)
    assert month_of(moment, ZoneInfo("Asia/Tokyo")) == ("2026-11", 30 * DAY_S - 7.5 * HOUR_S)


def test_what_was_moved_is_counted_over_restarts_boots_and_months() -> None:
    account = observed(None, "2026-11", "boot-1", 5_000)  # who knows of when that is
    account = observed(account, "2026-11", "boot-1", 7_000)
    assert account.used == 2_000
    account = observed(account, "2026-11", "boot-1", 7_500)  # the agent was away meanwhile
    account = observed(account, "2026-11", "boot-2", 300)  # the box was
    assert account.used == 2_800
    account = observed(account, "2026-11", "boot-2", 100)  # the modem came back as a new interface
    assert account.used == 2_900
    assert observed(account, "2026-12", "boot-2", 150).used == 50


def test_costs_are_those_of_the_newest_runs_as_if_they_had_not_been_shortened() -> None:
    account = Account(month="2026-11")
    assert cost_of(account, TEST) == 600e6
    account = charged(account, TEST.key, 200e6, 0.5)
    assert cost_of(account, TEST) == 400e6
    for _ in range(5):
        account = charged(account, TEST.key, 100e6, 1.0)
    assert cost_of(account, TEST) == 100e6


@pytest.mark.parametrize(
    ("budget", "size", "stretch"),
    [
        (500e9, 1.0, 1.0),  # 432 GB are planned
        (432e9, 1.0, 1.0),
        (288e9, 2 / 3, 1.0),
        (216e9, 0.5, 1.0),
        (108e9, 0.5, 2.0),
        (10e9, 0.5, 21.6),
    ],
)
def test_tests_become_shorter_and_then_rarer(budget: float, size: float, stretch: float) -> None:
    now = pace(Account(month="2026-11"), budget, MONTH_S, [TEST])
    assert (now.size, now.stretch) == (pytest.approx(size), pytest.approx(stretch))
    assert now.adapted is (budget < 432e9)


def test_what_light_tests_will_need_is_not_given_to_heavy_ones() -> None:
    light = Planned("ping/gateway", 60.0, 12_000.0, heavy=False)
    alone, beside = (pace(Account(month=""), 10e9, MONTH_S, tests) for tests in ([TEST], [TEST, light]))
    assert beside.stretch > alone.stretch
    nothing_left = pace(Account(month="", used=10_000_000_000), 10e9, DAY_S, [TEST, light])
    assert nothing_left.stretch == float("inf")
    assert slot(Account(month=""), TEST, nothing_left)[1] is False


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("begin_s", [0.0, 20 * DAY_S])
@pytest.mark.parametrize("budget", [5e9, 60e9, 300e9])
def test_a_month_stays_within_its_budget_and_uses_it(budget: float, begin_s: float, seed: int) -> None:
    """Two tests each hour, whose real costs the schedule does not know; something light beside them."""
    dice = random.Random(seed)
    tests = [TEST, Planned("upload/far", HOUR_S, 600e6, heavy=True), Planned("ping", 60.0, 6_000.0, heavy=False)]
    account, usual, moments = Account(month="2026-11"), dice.uniform(200e6, 900e6), []
    for hour in range(int(begin_s // HOUR_S), 720):
        left_s = MONTH_S - hour * HOUR_S
        for test in tests[:2]:
            now = pace(account, budget, left_s, tests)
            account, may = slot(account, test, now)
            if may:
                moved = int(usual * now.size * dice.uniform(0.9, 1.1))
                account = charged(account, test.key, moved, now.size)
                account = Account(
                    month=account.month, used=account.used + moved, costs=account.costs, credits=account.credits
                )
                moments.append(hour)
        account = Account(
            month=account.month, used=account.used + 360_000, costs=account.costs, credits=account.credits
        )
    planned = usual * 2 * (MONTH_S - begin_s) / HOUR_S
    assert account.used <= budget * 1.0001 + 360_000
    assert account.used >= min(0.8 * budget, 0.9 * planned) - 1e9
    assert moments[-1] >= 720 - 48 * max(1, 5e9 / budget * 3), "it lasted to the end of the month"
