"""The mesh's plan: each pair once, who can't be reached starts, the rest even, and the same whatever the order."""

from collections import Counter
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibrewatch.errors import ConfigError
from fibrewatch.wire import AgentId
from fibrewatch_collector.mesh import Fleet, Group, Mesh, Pair, Settings, plan
from fibrewatch_collector.orientation import orient

FILE = "sites.toml"


def box(site: str, name: str = "box-01", territory: str = "paris") -> AgentId:
    return AgentId(territory, site, name)


def fleet(members: list[AgentId], reachable: set[AgentId]) -> Fleet:
    """Sites of these boxes, all of which stand for them."""
    sites: dict[tuple[str, str], list[AgentId]] = {}
    for each in members:
        sites.setdefault(each[:2], []).append(each)
    return Fleet({each.territory for each in members}, sites, sites, reachable)


def ends(mesh: Mesh) -> list[frozenset[AgentId]]:
    return [frozenset((pair.starter, pair.peer)) for pair in mesh.pairs]


BOXES = [box(f"site-{i}", territory=territory) for territory in ("paris", "lyon") for i in range(12)]
boxes_and_reachable = st.lists(st.tuples(st.sampled_from(BOXES), st.booleans()), min_size=2, unique_by=lambda e: e[0])


@given(boxes_and_reachable, st.randoms(use_true_random=False))
def test_every_two_sites_of_a_territory_are_one_pair_or_can_not_be_measured(
    choice: list[tuple[AgentId, bool]], random: Random
) -> None:
    members, reachable = [each for each, _ in choice], {each for each, can in choice if can}
    groups = [Group(id="p", all="paris"), Group(id="l", all="lyon")]
    groups = [group for group in groups if group.all in {each.territory for each in members}]
    mesh = plan(groups, fleet(members, reachable), FILE)
    unmeasured = [frozenset(pair) for _, *pair in mesh.unmeasured]
    wanted = {frozenset(two) for two in combinations(members, 2) if two[0].territory == two[1].territory}
    assert Counter(ends(mesh) + unmeasured) == Counter(wanted)
    assert all(not (pair & reachable) for pair in unmeasured)
    for pair in mesh.pairs:
        assert pair.peer in reachable
        assert pair.mutual == (pair.starter in reachable)
    random.shuffle(members)
    random.shuffle(groups)
    assert plan(groups, fleet(members, reachable), FILE) == mesh


graphs = st.sets(st.tuples(st.integers(0, 15), st.integers(0, 15)).filter(lambda two: two[0] < two[1]), min_size=1)


@given(graphs)
def test_starts_are_even_for_every_box_in_any_mesh(edges: set[tuple[int, int]]) -> None:
    pairs = [(box(f"{a:02}"), box(f"{b:02}")) for a, b in edges]
    oriented = orient(pairs)
    assert Counter(map(frozenset, oriented)) == Counter(map(frozenset, pairs))
    starts, started_at = Counter(a for a, _ in oriented), Counter(b for _, b in oriented)
    assert all(abs(starts[each] - started_at[each]) <= 1 for each in {each for pair in pairs for each in pair})


def test_one_more_site_turns_few_pairs_round() -> None:
    before = [box(f"site-{i * 7919 % 1000}") for i in range(50)]
    after = [*before, box("newcomer")]
    old, new = set(orient(combinations(sorted(before), 2))), set(orient(combinations(sorted(after), 2)))
    assert len(old) == 1225
    assert len(old - new) < 1225 // 10


def test_box_that_can_not_be_reached_starts_and_no_one_traces_to_it() -> None:
    natted, open_one = box("attic"), box("zinc")
    (pair,) = plan([Group(id="m", all="paris")], fleet([natted, open_one], {open_one}), FILE).pairs
    assert list(pair.runs()) == [(test, natted, open_one) for test in ("stamp", "voice", "path")]


def test_both_ends_trace_where_both_can_be_reached() -> None:
    a, b = box("attic"), box("zinc")
    (pair,) = plan([Group(id="m", all="paris")], fleet([a, b], {a, b}), FILE).pairs
    runs = list(pair.runs())
    assert [test for test, _, _ in runs] == ["stamp", "voice", "path", "path"]
    assert {(by, to) for test, by, to in runs if test == "path"} == {(a, b), (b, a)}
    assert len({(by, to) for test, by, to in runs if test != "path"}) == 1


def test_named_pair_goes_before_all_of_its_territory() -> None:
    members = [box(name) for name in ("a", "b", "c")]
    groups = [Group(id="all", all="paris"), Group(id="film", pairs=(("paris/c", "paris/a"),))]
    mesh = plan(groups, fleet(members, set(members)), FILE)
    assert {tuple(sorted(each.site for each in (p.starter, p.peer))): p.group.id for p in mesh.pairs} == {
        ("a", "b"): "all",
        ("a", "c"): "film",
        ("b", "c"): "all",
    }


def test_pair_of_two_territories() -> None:
    cargo, soma = box("cargo"), box("soma", territory="san-francisco")
    groups = [Group(id="far", pairs=(("paris/cargo", "san-francisco/soma/box-01"),))]
    mesh = plan(groups, fleet([cargo, soma], {cargo}), FILE)
    assert mesh.pairs == (Pair(groups[0], soma, cargo, mutual=False),)


def test_all_boxes_that_stand_for_a_site_take_part() -> None:
    one, two, other = box("cargo", "box-01"), box("cargo", "box-02"), box("halles")
    mesh = plan([Group(id="m", all="paris")], fleet([one, two, other], {other}), FILE)
    assert {(pair.starter, pair.peer) for pair in mesh.pairs} == {(one, other), (two, other)}
    named = Group(id="m", pairs=(("paris/cargo", "paris/halles"),))
    assert plan([named], fleet([one, two, other], {other}), FILE).pairs == tuple(
        Pair(named, each, other, mutual=False) for each in (one, two)
    )


def test_pair_of_a_group_that_can_not_be_measured_is_named() -> None:
    mesh = plan([Group(id="m", all="paris")], fleet([box("a"), box("b")], set()), FILE)
    assert mesh.warnings() == [
        'mesh "m": neither paris/a/box-01 nor paris/b/box-01 can be reached: give one of them a reflector'
    ]


def test_settings_are_the_defaults_but_for_what_is_given() -> None:
    group = Group(id="m", all="paris", stamp=Settings(params={"dscp": 46}), path=Settings(every_s=300.0))
    assert group.of("stamp") == Settings(params={"interval": "1 s", "dscp": 46})
    assert group.of("path") == Settings(every_s=300.0, on_loss=True)
    assert Group(id="m", all="paris", path=Settings(on_loss=False)).of("path") == Settings(every_s=900.0, on_loss=False)
    assert group.of("voice") == Settings(every_s=3600.0)


def test_more_peers_than_a_status_can_name_are_refused() -> None:
    members = [box(f"s{i}") for i in range(202)]
    with pytest.raises(ConfigError) as caught:
        plan([Group(id="m", all="paris")], fleet(members, set(members)), FILE)
    assert str(caught.value) == "sites.toml: mesh: paris/s0/box-01 would measure to 201 others, 200 at most"
    assert len(plan([Group(id="m", all="paris")], fleet(members[1:], set(members)), FILE).pairs) == 201 * 100
