"""The E-model against the values that the Recommendations give, and against hand-computed points of their equations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibrewatch import emodel
from fibrewatch.emodel import AMR_WB_12_65, G711_PLC, Codec, rate

G729A = Codec(11.0, 19.0, 0.025, wideband=False)  # G.113 Appendix I, with voice activity detection


def test_a_perfect_line_has_the_rating_that_g107_gives_for_its_defaults() -> None:
    rating = rate(G711_PLC, 0.0, 0.0)
    assert rating.r == pytest.approx(93.2, abs=0.01)  # G.107 §7.7
    assert rating.mos == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("r", "mos"),
    [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1.0), (-20, 1.0), (100, 4.5), (120, 4.5)],
)
def test_opinion_scores_of_ratings_are_those_of_g107_table_b1(r: float, mos: float) -> None:
    assert emodel.mos(r) == pytest.approx(mos, abs=0.007)


@pytest.mark.parametrize(
    ("delay_s", "r"),
    [
        # Idte, Idle and Idd of eqs. 7-19, 7-25 and 7-27 added up by hand: 1.9638 + 0.7277 + 0, and so on
        (0.100, 90.6637),
        (0.150, 89.5391),
        (0.250, 79.1771),
    ],
)
def test_delay_costs_what_its_three_terms_add_up_to(delay_s: float, r: float) -> None:
    assert rate(G711_PLC, delay_s, 0.0).r == pytest.approx(r, abs=1e-3)


@pytest.mark.parametrize(
    ("codec", "loss", "burst", "impairment"),
    [
        (G711_PLC, 0.01, 1, 95 / 26.1),
        (G711_PLC, 0.05, 1, 475 / 30.1),
        (G711_PLC, 0.05, 2, 475 / 27.6),
        (G711_PLC, 0.05, 0.5, 475 / 30.1),
        (G729A, 0.02, 1, 19.0),
    ],
)
def test_loss_costs_the_effective_equipment_impairment(
    codec: Codec, loss: float, burst: float, impairment: float
) -> None:
    assert rate(G711_PLC, 0, 0).r - rate(codec, 0, loss, burst).r == pytest.approx(impairment, abs=1e-9)


def test_wideband_ratings_are_of_their_own_scale() -> None:
    perfect = rate(AMR_WB_12_65._replace(impairment=0.0), 0.0, 0.0)
    assert perfect.r == pytest.approx(128.8463, abs=1e-3)  # 129 less the listener's echo, as 93.2 is 93.355 less it
    assert perfect.mos == pytest.approx(4.4992, abs=1e-4)
    clean, lossy = rate(AMR_WB_12_65, 0.0, 0.0), rate(AMR_WB_12_65, 0.0, 0.02)
    assert perfect.r - clean.r == pytest.approx(20)
    assert clean.r - lossy.r == pytest.approx(75 * 2 / 6.3)  # eq. 7-15
    assert rate(AMR_WB_12_65, 0.0, 0.02, burst_ratio=4.0) == lossy


@pytest.mark.parametrize(
    ("delay_s", "r", "mos"),
    [
        # eqs. 7-5 to 7-13 reckoned apart from the code: K 14 and 18, Idte,WB 0.092907 and 0.355448,
        # Idle,WB 0.652075 and 1.012266, Idd,WB 0 and 1.29 · 0.163531
        (0.050, 128.255018, 4.495632),
        (0.150, 127.421331, 4.489979),
    ],
)
def test_wideband_delay_costs_its_three_terms(delay_s: float, r: float, mos: float) -> None:
    rating = rate(AMR_WB_12_65._replace(impairment=0.0), delay_s, 0.0)
    assert rating.r == pytest.approx(r, abs=1e-5)
    assert rating.mos == pytest.approx(mos, abs=1e-5)


def test_wideband_delay_costs_1_29_of_the_narrowband_beyond_100_ms() -> None:
    knee, beyond = (rate(AMR_WB_12_65, delay_s, 0.0).r for delay_s in (0.100, 0.200))
    echoes = 1.1521 - 0.8532 + 0.4758 - 0.1956  # Idle,WB and Idte,WB of 200 and 100 ms, by hand
    assert knee - beyond == pytest.approx(1.29 * 3.0444 + echoes, abs=1e-3)


@given(st.floats(0, 2), st.floats(0, 2), st.floats(0, 1), st.floats(0, 1), st.floats(0, 10))
def test_more_delay_or_loss_never_sounds_better(a: float, b: float, p: float, q: float, burst: float) -> None:
    for codec in (G711_PLC, AMR_WB_12_65):
        better, worse = rate(codec, min(a, b), min(p, q), burst), rate(codec, max(a, b), max(p, q), burst)
        assert worse.r <= better.r + 0.31  # Idte falls below 0 within some ms, as G.107 and G.107.1 have it
        assert 1 <= worse.mos <= 4.5


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ("", 1.0),
        ("........", 1.0),
        ("xxxx", 1.0),
        ("x.x.x.x.", 0.5),  # more even than random
        ("....xxxx", 4 * 0.5),
        ("xx......xx......", 2 * 0.75),
    ],
)
def test_burst_ratio_compares_runs_with_those_of_random_loss(lost: str, expected: float) -> None:
    assert emodel.burst_ratio([each == "x" for each in lost]) == pytest.approx(expected)
