"""What counts as another way, what is remembered of one, and what a silent hop does to both."""

import pytest

from fibrewatch_agent.path.history import History, Known, differs, merged


def known(text: str, *, reached: bool = True) -> Known:
    """`a b+c - d`: hops with spaces between, `+` where several routers answered, `-` for a silent one."""
    return Known(tuple(() if hop == "-" else tuple(hop.split("+")) for hop in text.split()), reached)


@pytest.mark.parametrize(
    ("before", "now", "changed"),
    [
        ("a b c", "a b c", False),
        ("a b c", "a x c", True),
        ("a b c", "a - c", False),
        ("a - c", "a b c", False),
        ("a - c", "- b c", False),
        ("a b c", "a b+x c", False),
        ("a b+x c", "a x c", False),
        ("a b+x c", "a y c", True),
        ("a b c", "a b x c", True),
        ("a b x c", "a b c", True),
        ("a b - c", "a b c", True),
        ("a b c", "- - - c", True),
    ],
)
def test_a_change_is_a_hop_with_nobody_in_common_or_another_distance(before: str, now: str, changed: bool) -> None:
    assert differs(known(before), known(now)) is changed


@pytest.mark.parametrize(
    ("before", "now", "changed"),
    [("a b c", "a b", False), ("a b c", "a x", True), ("a b c", "a b c d", True), ("a b c", "- -", False)],
)
def test_a_trace_that_ends_early_is_compared_as_far_as_it_goes(before: str, now: str, changed: bool) -> None:
    assert differs(known(before), known(now, reached=False)) is changed


def test_a_way_that_was_cut_and_is_whole_again_is_no_change() -> None:
    assert not differs(known("a b", reached=False), known("a b c"))


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        ("a b c", "a - c", "a b c"),
        ("a - c", "- b c", "a b c"),
        ("a b c", "a x+b c", "a x+b c"),
        ("a b c", "a b+x c", "a b+x c"),
    ],
)
def test_what_a_hop_has_said_is_kept(before: str, now: str, kept: str) -> None:
    assert merged(known(before), known(now)) == known(kept)


def test_a_trace_that_ends_early_shortens_nothing() -> None:
    assert merged(known("a b c"), known("a -", reached=False)) == known("a b c")


def test_a_hop_of_many_routers_does_not_grow_for_ever() -> None:
    kept = known("a")
    for i in range(100):
        kept = merged(kept, Known(((f"r{i}", "a"),), True))
    assert len(kept.hops[0]) == 8
    assert "r99" in kept.hops[0]


def ways(**flows: str) -> dict[int, Known]:
    """p1="a b" is the way of the flow from port 1."""
    return {int(name[1:]): known(text) for name, text in flows.items()}


def test_each_flow_is_compared_with_itself() -> None:
    history = History()
    assert history.compare("t", ways(p1="a b", p2="x b")) is None
    assert history.compare("t", ways(p1="a b", p2="x b")) == []
    assert history.compare("t", ways(p1="a b", p2="y b", p3="z b")) == [(2, ("x", "b"), ("y", "b"))]
    assert history.compare("t", ways(p2="y b")) == []


def test_a_target_that_moved_to_another_address_is_not_compared() -> None:
    history = History()
    history.compare("t", ways(p1="a b"))
    assert history.compare("u", ways(p1="x y")) is None
    assert history.compare("t", ways(p1="a b")) == [], "the first one is still known"


def test_a_name_with_ever_new_addresses_fills_no_memory() -> None:
    history = History()
    for i in range(100):
        history.compare(f"t{i}", ways(p1="a b"))
    assert history.compare("t0", ways(p1="x y")) is None
    assert history.compare("t99", ways(p1="x y")) == [(1, ("a", "b"), ("x", "y"))]
    assert len(history._targets) == 8
