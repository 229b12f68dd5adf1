"""The table of truth: a short part of the lab's rows, and all of them; what judges them knows right from wrong."""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.lab.truth import chance, lines, namespaces, packets, rows
from tests.lab.truth.__main__ import by_machine, lab, page
from tests.lab.truth.netem import Distribution
from tests.lab.truth.rows import Row, Section
from tests.lab.truth.wire import overtaken


def check(sections: Sequence[Section]) -> None:
    print("\n".join(rows.markdown(section) for section in sections))
    assert all(section.rows for section in sections)
    assert [row for section in sections for row in section.rows if not row.passed] == []


SHORT = (packets.delays,)
"""What virtual time shows best; `make lab` has all topics, with more lines and packets."""


def test_what_probes_say_of_lines_of_known_truth(tmp_path: Path) -> None:
    topics = [make(True) for make in SHORT]
    check(lines.measure(topics, tmp_path / "lab", timeout_s=580))


@pytest.mark.full_lab
@pytest.mark.parametrize("machine", [0, 1])
def test_every_row_of_the_lab(machine: int, tmp_path: Path) -> None:
    check(lab(tmp_path, [by_machine()[machine]]))


@pytest.mark.full_lab
@pytest.mark.alone
def test_every_row_of_the_namespaces() -> None:
    check(namespaces.sections())


WRONG = {
    "delay": rows.delay("", 0.010, 0.010021),
    "delay, none": rows.delay("", 0.010, None),
    "errors at p50": rows.errors("", 0.010, [21e-6] * 10),
    "errors at p99": rows.errors("", 0.010, [1e-6] * 98 + [101e-6] * 2),
    "expected, not the wire's": rows.expected("", 0.020, 0.020021, 0.020, (0.019, 0.021)),
    "expected, the wire's is no such draw": rows.expected("", 0.022, 0.022, 0.020, (0.019, 0.021)),
    "expected, none": rows.expected("", 0.020, None, 0.020, (0.019, 0.021)),
    "count": rows.count("", 5, 4),
    "count, none": rows.count("", 0, None),
    "same": rows.same("", "1500 bytes, told", "1500 bytes, a black hole"),
    "near": rows.near("", 4.0, 4.006, 0.005),
    "ratio": rows.ratio("", 191.3, 189.0, 0.01, "Mbit/s"),
    "loss, one too few": rows.loss("", 0.001, 20000, 20, 19),
    "loss, one too many": rows.loss("", 0.001, 20000, 20, 21),
    "loss, another line's": rows.loss("", 0.001, 20000, 60, 60),
    "loss where there is none": rows.loss("", 0.0, 3000, 1, 1),
}


@pytest.mark.parametrize("row", WRONG.values(), ids=WRONG)
def test_what_is_wrong_does_not_pass(row: Row) -> None:
    assert not row.passed
    assert "**FAIL**" in rows.markdown(Section("", "", [row]))
    assert "0 of 1 rows pass" in page([Section("", "", [row])])


def test_what_is_right_passes() -> None:
    assert rows.delay("", 0.010, 0.010019).passed
    assert rows.errors("", 0.010, [1e-6] * 99 + [1.0]).passed, "p99 of a hundred is the second worst"
    assert rows.loss("", 0.001, 20000, 20, 20).passed
    assert rows.loss("", 0.0, 3000, 0, 0).passed


@pytest.mark.parametrize("name", ["uniform", "normal", "pareto"])
def test_draws_fall_where_the_distribution_says(name: str) -> None:
    law, draw = Distribution.of(name, 0.020, 0.002), random.Random(7)
    drawn = [law.quantile(draw.random()) for _ in range(3000)]
    for q in (0.5, 0.95, 0.99):
        low, high = law.interval(q, len(drawn))
        assert low <= rows.quantile(drawn, q) <= high
        assert low <= law.quantile(q) <= high
    low, high = law.differences().interval(0.95, 1000)
    assert low <= rows.quantile([abs(a - b) for a, b in itertools.pairwise(drawn)], 0.95) <= high
    least = law.least(3000)
    assert least[0] <= min(drawn) <= least[1]


def test_known_points_of_the_distributions() -> None:
    assert Distribution.of("uniform", 0.020, 0.002).quantile(0.75) == pytest.approx(0.021, rel=1e-3)
    assert Distribution.of("normal", 0.020, 0.002).quantile(0.8413) == pytest.approx(0.022, rel=1e-3)


def test_overtaken_as_in_the_examples_of_rfc_4737() -> None:
    assert overtaken([1, 2, 3, 7, 8, 9, 4, 5, 6, 10]) == 3  # §7.1
    assert overtaken([1, 2, 3, 4, 5]) == 0


def test_chance_of_known_points() -> None:
    assert chance.wilson(20, 20000) == pytest.approx((0.000647, 0.001544), rel=0.01)
    low, high = chance.bounds(0.001, 20000)
    for p in (low, high):
        assert 20000 * chance.divergence(0.001, p) == pytest.approx(chance.RARE, rel=1e-6)
    assert 0 < low < 0.001 < high < 0.003
    assert chance.bounds(0.0, 3000) == (0.0, pytest.approx(1 - 1e-6 ** (1 / 3000), rel=1e-6))
