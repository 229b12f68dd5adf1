"""One minute of one uplink: the verdict and its cause."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibrewatch.measurement import Role
from fibrewatch.wire import AgentId
from fibrewatch_collector.sla import bins
from fibrewatch_collector.sla.bins import Flow, Vantage, Verdict, dead_targets, judge

BOX, OTHER = AgentId("paris", "cargo", "box-01"), AgentId("paris", "cargo", "box-02")
ROLES: dict[str, Role] = {
    "gw": "gateway",
    "isp-edge": "access",
    "isp": "operator",
    "dns": "neutral",
    "far": "responder",
    "web": "service",
}


def flows(said: str, agent: AgentId = BOX) -> list[Flow]:
    """`gw dns -far`: who answers, and with a minus who does not."""
    return [Flow(agent, name.strip("-"), ROLES[name.strip("-")], not name.startswith("-")) for name in said.split()]


@pytest.mark.parametrize(
    ("said", "state", "cause"),
    [
        ("gw isp-edge isp dns far", "A", None),
        ("dns", "A", None),
        ("gw dns -far", "A", "target"),
        ("-gw dns far", "A", None),
        ("gw -dns -far", "U", "access"),
        ("gw -isp-edge -dns -far", "U", "access"),
        ("gw -isp-edge -dns", "U", "access"),
        ("gw isp-edge -isp -dns -far", "U", "operator"),
        ("isp-edge -dns -web", "U", "operator"),
        ("gw isp-edge -dns", "A", "target"),
        ("-dns -far", "U", "unknown"),
        ("-gw -dns -far", "N", "lan"),
        ("-gw -isp-edge -dns -far", "N", "lan"),
        ("gw -far", "N", "targets"),
        ("-far", "N", "targets"),
        ("gw", "N", "targets"),
        ("-gw", "N", "lan"),
        ("", "N", "samples"),
    ],
)
def test_verdict_of_one_box(said: str, state: str, cause: str | None) -> None:
    assert judge(flows(said)) == (state, cause)


def test_a_dead_target_proves_nothing_against_the_line() -> None:
    assert judge(flows("gw -dns -far"), frozenset({"far"})) == ("N", "target")
    assert judge(flows("gw -dns -far -web"), frozenset({"far"})) == ("U", "access")
    assert judge(flows("gw dns -far"), frozenset({"far"})) == ("A", "target")


def test_a_box_cut_off_by_its_lan_does_not_speak_for_the_line() -> None:
    assert judge(flows("-gw -dns -far") + flows("gw dns far", OTHER)) == ("A", None)
    assert judge(flows("-gw -dns -far") + flows("gw -dns -far", OTHER)) == ("U", "access")
    assert judge(flows("-gw -dns -far") + flows("-gw -dns", OTHER)) == ("N", "lan")


def test_a_target_answers_when_any_box_hears_it() -> None:
    assert judge(flows("gw -dns -far") + flows("gw dns -far", OTHER)) == ("A", "target")


@pytest.mark.parametrize(
    ("sent", "interval_s", "judged"),
    [
        (60, 1.0, True),
        (45, 1.0, True),
        (44, 1.0, False),
        (9, 5.0, True),
        (8, 5.0, False),
        (450, 0.1, True),
        (0, 60, False),
    ],
)
def test_enough_is_three_quarters_of_what_a_minute_holds(sent: int, interval_s: float, judged: bool) -> None:
    assert bins.enough(sent, interval_s) is judged


@pytest.mark.parametrize(("lost", "answers"), [(0, True), (12, True), (13, False), (60, False)])
def test_a_target_is_lost_above_a_loss_of_one_in_five(lost: int, answers: bool) -> None:
    assert bins.answers(60, lost) is answers


def views(*said: str) -> dict[Vantage, list[Flow]]:
    """One site for each."""
    return {
        ("paris", f"s{n}", "fibre"): flows(each, AgentId("paris", f"s{n}", "box-01")) for n, each in enumerate(said)
    }


def test_many_sites_missing_one_target_blame_the_target() -> None:
    assert dead_targets(views("gw dns -far", "gw dns -far", "gw dns -far", "gw -dns -far")) == {"far"}


@pytest.mark.parametrize(
    "said",
    [
        ("gw dns -far", "gw dns -far"),  # two sites are not many
        ("gw -dns -far", "gw -dns -far", "gw -dns -far"),  # nothing answers: it may be the network
        ("gw isp-edge -dns -far",) * 3,  # only the access line answers: it may be the operator
        ("gw dns -far", "gw dns -far", "gw dns -far", "dns far", "dns far", "dns far"),  # half of them hear it
        ("dns far",) * 5,
    ],
)
def test_a_target_is_not_blamed_without_evidence(said: tuple[str, ...]) -> None:
    assert dead_targets(views(*said)) == frozenset()


@given(st.lists(st.tuples(st.sampled_from(sorted(ROLES)), st.booleans(), st.sampled_from([BOX, OTHER])), max_size=12))
def test_the_order_of_flows_changes_nothing(drawn: list[tuple[str, bool, AgentId]]) -> None:
    given_flows = [Flow(agent, name, ROLES[name], answers) for name, answers, agent in drawn]
    shuffled = random.Random(1).sample(given_flows, len(given_flows))
    assert judge(given_flows) == judge(shuffled) == judge(given_flows + given_flows)


@given(st.lists(st.tuples(st.sampled_from(sorted(ROLES)), st.booleans()), max_size=8))
def test_unavailable_needs_two_targets_that_nobody_heard(drawn: list[tuple[str, bool]]) -> None:
    verdict = judge(Flow(BOX, name, ROLES[name], answers) for name, answers in drawn)
    heard = {name for name, answers in drawn if answers}
    unheard = {name for name, _ in drawn} - heard
    if verdict.state == "U":
        assert len([name for name in unheard if ROLES[name] != "gateway"]) >= 2
    if verdict.state == "A":
        assert any(ROLES[name] != "gateway" for name in heard)


def test_totals_are_all_minutes() -> None:
    states: Iterable[bins.BinState] = ["A", "U", "N", "A"]
    assert bins.totals(states) == {"A": 2, "U": 1, "N": 1}
    assert bins.totals([]) == {"A": 0, "U": 0, "N": 0}
    assert Verdict("A", None).state == "A"
