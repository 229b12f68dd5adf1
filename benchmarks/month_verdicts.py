"""How likely a month's tests pass, fail or leave open a share that was asked, given the line's true compliance. Pure.

Exact: the binomial distribution where tests are independent; where those of one day resemble each other, the sum of one
beta-binomial a day, whose correlation of two tests of a day is `rho`. What passes is the collector's own rule.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from fibrewatch_collector.sla.proportions import Z_95, Answer, Interval, Tally, answer, wilson

Judge = Callable[[int, int], Answer]
"""Tests met, tests made → what is said."""


class Chances(NamedTuple):
    """Probabilities of a month's verdict."""

    passed: float
    failed: float
    undecided: float


def judge(asked: float) -> Judge:
    """The collector's rule."""
    return lambda met, n: answer(Tally(met, n - met), asked)


def widened(asked: float, effect: float) -> Judge:
    """The same on an interval as of `n / effect` independent tests: z grows by the root of the design effect."""
    return lambda met, n: verdict(wilson(met, n, Z_95 * math.sqrt(effect)), asked)


def verdict(found: Interval, asked: float) -> Answer:
    """As `proportions.answer` reads an interval."""
    if found.low >= asked:
        return "pass"
    return "fail" if found.high < asked else "undecided"


def split(n: int, days: int) -> tuple[int, ...]:
    """So many tests over the days, as evenly as can be."""
    return tuple(n // days + (day < n % days) for day in range(days))


def design_effect(sizes: Sequence[int], rho: float) -> float:
    """By how much clusters of these sizes widen a share's variance (Kish, "Survey Sampling", 1965, §8.2)."""
    n = sum(sizes)
    return 1 + (sum(size * size for size in sizes) / n - 1) * rho


def chances(asked: float, true: float, sizes: Sequence[int], rho: float = 0.0, by: Judge | None = None) -> Chances:
    """Exact; `sizes` are the tests of each day."""
    found, n, by = {"pass": 0.0, "fail": 0.0}, sum(sizes), by or judge(asked)
    for met, likely in enumerate(distribution(tuple(sizes), true, rho)):
        said = by(met, n)
        if said in found:
            found[said] += likely
    return Chances(found["pass"], found["fail"], max(0.0, 1 - found["pass"] - found["fail"]))


@cache
def distribution(sizes: tuple[int, ...], true: float, rho: float) -> tuple[float, ...]:
    """How likely each number of tests met is, from none to all."""
    if rho == 0 or true in (0.0, 1.0):
        return tuple(_binomial(sum(sizes), true))
    months = [1.0]
    for size in sizes:
        months = _convolved(months, _beta_binomial(size, true, rho))
    return tuple(months)


def _binomial(n: int, p: float) -> Iterator[float]:
    for met in range(n + 1):
        if p in (0.0, 1.0):
            yield float(met == n * p)
        else:
            yield math.exp(_log_choose(n, met) + met * math.log(p) + (n - met) * math.log1p(-p))


@cache
def _beta_binomial(n: int, p: float, rho: float) -> tuple[float, ...]:
    a, b = _shape(p, rho)
    return tuple(
        math.exp(_log_choose(n, met) + _log_beta(met + a, n - met + b) - _log_beta(a, b)) for met in range(n + 1)
    )


def _shape(p: float, rho: float) -> tuple[float, float]:
    """Of the beta distribution whose mean is p and in whose beta-binomial two tests correlate by rho."""
    scale = (1 - rho) / rho
    return p * scale, (1 - p) * scale


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _convolved(one: Sequence[float], other: Sequence[float]) -> list[float]:
    total = [0.0] * (len(one) + len(other) - 1)
    for i, x in enumerate(one):
        for j, y in enumerate(other):
            total[i + j] += x * y
    return total


class Drawn(NamedTuple):
    """Shares of simulated months: by the collector's rule, and by one whose design effect is learnt from the days."""

    as_is: Chances
    learnt: Chances


def simulated(asked: float, true: float, sizes: Sequence[int], rho: float, *, months: int, rng: random.Random) -> Drawn:
    """The same by drawing months of tests, each test for itself."""
    as_is: list[Answer] = []
    learnt: list[Answer] = []
    for _ in range(months):
        days = [_day(size, true, rho, rng) for size in sizes]
        met, n = sum(days), sum(sizes)
        as_is.append(judge(asked)(met, n))
        learnt.append(widened(asked, learnt_effect(days, sizes))(met, n))
    return Drawn(_shares(as_is), _shares(learnt))


def _day(size: int, true: float, rho: float, rng: random.Random) -> int:
    p = true if rho == 0 or true in (0.0, 1.0) else rng.betavariate(*_shape(true, rho))
    return sum(rng.random() < p for _ in range(size))


def _shares(said: Sequence[Answer]) -> Chances:
    passed, failed = said.count("pass") / len(said), said.count("fail") / len(said)
    return Chances(passed, failed, 1 - passed - failed)


def learnt_effect(met: Sequence[int], sizes: Sequence[int]) -> float:
    """The design effect as a month's own days tell it: the ratio's variance over the binomial one; 1 at least.

    A month without a failure, or with failures alone, tells nothing: 1.
    """
    n, days = sum(sizes), len(sizes)
    share = sum(met) / n
    if share in (0.0, 1.0) or days < 2:
        return 1.0
    squares = sum((each - size * share) ** 2 for each, size in zip(met, sizes, strict=True))
    return max(1.0, days / (days - 1) * squares / (n * share * (1 - share)))


def least_without_failure(asked: float) -> int:
    """How many tests must pass in a row, none failing, before the answer is pass."""
    n = 1
    while answer(Tally(n, 0), asked) != "pass":
        n += 1
    return n


def least_for(asked: float, true: float, power: float, most: int = 5000) -> int | None:
    """The fewest tests from which on a line so good passes at least so often; None if that takes more than `most`.

    The chance goes up and down with n, since tests are whole: so the last n below is looked for, within a quarter more.
    """
    last_below, n = 0, 1
    while n <= max(200, last_below * 1.25):
        if n > most:
            return None
        if chances(asked, true, (n,)).passed < power:
            last_below = n
        n += 1
    return last_below + 1
