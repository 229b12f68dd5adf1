"""benchmarks.month: two days of fifty sites in virtual time, and the probabilities that docs/month.md tells."""

import functools
import random
from itertools import product

import pytest

from benchmarks import month, month_verdicts
from benchmarks.month_world import Outcome, Setting, Used, collisions, simulated
from benchmarks.support import ROOT
from fibrewatch_collector.sla.proportions import Tally, answer

SETTING = Setting(begin=month.BEGIN.timestamp(), days=2.0)  # a Sunday without quiet hours and a Monday with them


@functools.cache
def two_days() -> Outcome:
    return simulated(SETTING)


def test_fifty_sites_never_collide_and_nobody_waits_long() -> None:
    used = two_days().used
    assert len({each.agent for each in used}) == 50
    assert len(used) > 50 * 2 * 40  # an hourly download and upload of most
    assert collisions(used, SETTING.capacity) == []
    assert max(each.begin - each.asked for each in used) < 30
    assert {each.ending for each in used} == {"done"}


def test_small_budgets_are_spread_over_the_month() -> None:
    outcome = two_days()
    assert month.overdrawn(outcome.spent) == []
    small = [each for each in outcome.spent if each.uplink == "fibre" and each.allowed == 250e9]
    assert len(small) == 8
    large = [each for each in outcome.spent if each.allowed == 2000e9]
    assert all(each.adapted and each.used < each.allowed / 15 * 1.5 for each in small)
    assert not any(each.adapted for each in large)
    assert max(each.used for each in small) < 0.7 * max(each.used for each in large)
    reasons = {reason for _, reason in outcome.skipped}
    assert reasons == {"byte_budget", "quiet_hours"}


def test_a_responder_too_small_makes_them_wait_and_still_none_collides() -> None:
    setting = SETTING._replace(days=0.25, capacity=1e9 / 8)
    used = simulated(setting).used
    assert collisions(used, setting.capacity) == []
    assert month.peak(used) == setting.capacity
    assert max(each.begin - each.asked for each in used) > 1


def test_collisions_are_seen() -> None:
    def used(agent: str, begin: float, need: float) -> Used:
        return Used(agent, "download", "fibre", need, begin, begin, begin + 5, "done", 1.0)

    same_site = [used("paris/cargo/box-01", 0, 1.0), used("paris/cargo/box-02", 4, 1.0)]
    assert [each.what for each in collisions(same_site, 10.0)] == ["2 slots of paris/cargo"]
    too_much = [used("paris/cargo/box-01", 0, 6.0), used("paris/halles/box-01", 4, 6.0)]
    assert len(collisions(too_much, 10.0)) == 1
    in_turn = [used("paris/cargo/box-01", 0, 6.0), used("paris/cargo/box-01", 5, 6.0)]
    assert collisions(in_turn, 10.0) == []


def test_the_same_seed_gives_the_same_month() -> None:
    short = SETTING._replace(days=0.1, sites=5)
    assert simulated(short) == simulated(short)
    assert simulated(short).used != simulated(short._replace(seed=2)).used


def test_seventy_three_passes_in_a_row_are_the_least() -> None:
    assert month_verdicts.least_without_failure(0.95) == 73
    assert answer(Tally(72, 0), 0.95) == "undecided"
    assert month_verdicts.chances(0.95, 1.0, (73,)) == (1.0, 0.0, 0.0)
    assert month_verdicts.chances(0.95, 1.0, (72,)) == (0.0, 0.0, 1.0)


def test_173_tests_pass_a_true_98_percent_a_little_more_often_than_not() -> None:
    most_missed = 3  # by hand: 170 of 173 pass, 169 do not
    assert answer(Tally(170, 3), 0.95) == "pass"
    assert answer(Tally(169, 4), 0.95) == "undecided"
    exact = sum(_binomial(173, missed, 0.02) for missed in range(most_missed + 1))
    assert month_verdicts.chances(0.95, 0.98, (173,)).passed == pytest.approx(exact, abs=1e-12)
    assert exact == pytest.approx(0.544, abs=0.001)


def _binomial(n: int, k: int, p: float) -> float:
    ways = functools.reduce(lambda total, i: total * (n - i) // (i + 1), range(k), 1)
    return float(ways * p**k * (1 - p) ** (n - k))


def test_correlated_days_have_the_mean_and_variance_of_their_design_effect() -> None:
    sizes, true, rho = (6, 6, 5, 3), 0.9, 0.3
    likely = month_verdicts.distribution(sizes, true, rho)
    n = sum(sizes)
    mean = sum(met * each for met, each in enumerate(likely))
    variance = sum((met - mean) ** 2 * each for met, each in enumerate(likely))
    assert sum(likely) == pytest.approx(1)
    assert mean == pytest.approx(n * true)
    assert variance == pytest.approx(n * true * (1 - true) * month_verdicts.design_effect(sizes, rho))


def test_drawn_months_agree_with_the_exact_ones() -> None:
    sizes = month_verdicts.split(180, 30)
    for rho, true in product((0.0, 0.3), (0.93, 0.98)):
        drawn = month_verdicts.simulated(0.95, true, sizes, rho, months=1000, rng=random.Random(7)).as_is
        assert drawn == pytest.approx(month_verdicts.chances(0.95, true, sizes, rho), abs=0.06)  # 3.8 standard errors


def test_docs_tell_what_is_reckoned() -> None:
    written = [_cells(line) for line in (ROOT / "docs/month.md").read_text("utf-8").splitlines()]
    assert all(_cells(line) in written for line in month.thresholds().splitlines())
    section = (ROOT / "docs/month.md").read_text("utf-8").split("### downloads, every day 18:00-24:00, ")[1]
    tests, days = (int(word) for word in section.split(" asked: ")[1].split("\n")[0].split() if word.isdigit())
    sizes = month_verdicts.split(tests, days)
    rows = [_cells(line) for line in section.split("\n### ")[0].splitlines()]
    for true in (0.95, 0.98, 1.0):
        independent = month.chances_row(0.95, sizes, true)[:2]
        assert independent in [row[:2] for row in rows]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
