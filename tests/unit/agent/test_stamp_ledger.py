"""Which way packets were lost, doubled and reordered: the ledger against a line that knows."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch_agent.stamp.ledger import Directions, Ledger


def play(fates: Sequence[str], ledger: Ledger, first: int = 0, count: int = 0) -> int:
    """Lets packets meet their fates, and tells the ledger of what comes back; the reflector's next number.

    Fates: "." arrives and returns, ">" is lost on its way there, "<" on its way back.
    """
    for offset, fate in enumerate(fates):
        if fate == ">":
            continue
        if fate == ".":
            ledger.note(first + offset, count)
        count += 1
    return count


def lost(ledger: Ledger, fates: Sequence[str], first: int = 0) -> tuple[int, int, int] | None:
    numbers = range(first, first + len(fates))
    told = ledger.directions(numbers, {n for n, fate in zip(numbers, fates, strict=True) if fate != "."})
    return None if told is None else told[:3]


@pytest.mark.parametrize(
    ("fates", "expected"),
    [
        ("..........", (0, 0, 0)),
        ("..>..>>...", (3, 0, 0)),
        ("..<..<<...", (0, 3, 0)),
        (">>.<<.><.<.", (3, 4, 0)),
        ("...>><", (0, 0, 3)),  # nothing came after them
        (">....<.", (1, 1, 0)),  # before the first reply as well: the reflector counts from 0
    ],
)
def test_losses_get_their_direction(fates: str, expected: tuple[int, int, int]) -> None:
    ledger = Ledger()
    play(fates, ledger)
    ledger.stateful = True
    assert lost(ledger, fates) == expected


def test_replies_of_the_next_window_settle_the_last_losses_of_this_one() -> None:
    ledger = Ledger()
    count = play("..>>", ledger)
    play("....", ledger, first=4, count=count)
    assert lost(ledger, "..>>") == (2, 0, 0)
    assert lost(ledger, "....", first=4) == (0, 0, 0)


def test_losses_of_both_kinds_across_a_border_are_undetermined_and_those_of_one_kind_are_not() -> None:
    for here, there, expected in ((".>", "<.", (0, 0, 1)), (".<", "<.", (0, 1, 0)), (".>", ">.", (1, 0, 0))):
        ledger = Ledger()
        ledger.stateful = True
        play(there, ledger, first=2, count=play(here, ledger))
        assert lost(ledger, here) == expected


def test_a_reflector_that_repeats_the_senders_number_tells_no_directions() -> None:
    ledger = Ledger()
    for number in (0, 1, 4, 5):
        ledger.note(number, number)
    assert ledger.directions(range(6), {2, 3}) is None


def test_a_reflector_started_anew_counts_from_0_again() -> None:
    ledger = Ledger()
    play("....>....", ledger)
    play("..>...<...", ledger, first=12, count=0)  # 9, 10 and 11 went to nobody
    fates = "....>....>>>..>...<..."
    assert lost(ledger, fates) == (2, 1, 3)


def test_what_was_forgotten_leaves_the_later_windows_right() -> None:
    ledger, count = Ledger(), 0
    rng = random.Random(7)
    for first in range(0, 4000, 100):
        fates = "".join(rng.choices(".<>", (90, 5, 5), k=99)) + "."
        count = play(fates, ledger, first, count)
        assert lost(ledger, fates, first) == (fates.count(">"), fates.count("<"), 0)
        ledger.forget(first + 100)


def test_duplicates_and_reordering_are_told_apart_by_direction() -> None:
    ledger = Ledger()
    for sender, reflector in ((0, 0), (1, 1), (1, 2), (2, 3), (2, 3), (4, 4), (3, 5), (6, 7), (5, 6), (7, 8)):
        ledger.note(sender, reflector)
    assert ledger.directions(range(8), set()) == Directions(
        lost_forward=0,
        lost_backward=0,
        lost_undetermined=0,
        duplicates_forward=1,  # 1 came twice
        duplicates_backward=1,  # the reply to 2 came twice
        reordered_forward=1,  # 3 came behind 4
        reordered_backward=1,  # the reply to 5 behind that to 6
    )


@settings(max_examples=300)
@given(st.lists(st.sampled_from("....<>"), max_size=80), st.integers(0, 4))
def test_counts_are_exact_whenever_replies_surround_the_losses(fates: list[str], swaps: int) -> None:
    fates = [*fates, "."]
    ledger, order = Ledger(), []
    for number, fate in enumerate(fates):
        if fate != ">":
            order.append((number, fate))
    for swap in range(min(swaps, len(order) - 1)):  # neighbours that overtake each other on their way there
        order[swap], order[swap + 1] = order[swap + 1], order[swap]
    for count, (number, fate) in enumerate(order):
        if fate == ".":
            ledger.note(number, count)
    ledger.stateful = True
    told = lost(ledger, fates)
    assert told is not None
    forward, backward, undetermined = told
    assert forward + backward + undetermined == len(fates) - fates.count(".")
    if not swaps:
        assert told == (fates.count(">"), fates.count("<"), 0)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=60), st.integers(0, 60))
def test_no_numbers_from_the_line_break_it(pairs: list[tuple[int, int]], before: int) -> None:
    ledger = Ledger()
    for sender, reflector in pairs:
        ledger.note(sender, reflector)
    ledger.forget(before)
    heard = {sender for sender, _ in pairs}
    unanswered = {number for number in range(61) if number not in heard}
    told = ledger.directions(range(61), unanswered)
    if told is not None:
        assert all(count >= 0 for count in told)
        assert sum(told[:3]) == len(unanswered)
