"""Who gets a slot and when, in virtual time: whatever is asked, by whomever, in whatever order."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibrewatch_agent.responder.desk import Desk, Entry, Limits, RefusedError
from fibrewatch_agent.slots.messages import Wish

CAPACITY = 100.0
LIMITS = Limits(claim_s=10, margin_s=5, lease_s=15, aging_s=300)


def wish(request: str = "request-0", **settings: Any) -> Wish:
    """Ten seconds for a tenth of the capacity."""
    return Wish(**{"request": request, "direction": "down", "duration": 10.0, "rate": 10.0} | settings)


@dataclass
class Line:
    """A desk with boxes in front of it that stay until they are served, and then use their slot at once."""

    desk: Desk = field(default_factory=lambda: Desk(CAPACITY, LIMITS))
    now: float = 0.0
    asked: int = 0
    history: list[Entry] = field(default_factory=list)

    def ask(self, agent: str, **settings: Any) -> Entry:
        self.asked += 1
        entry = self.desk.ask(f"slot-{self.asked}", agent, wish(f"request-{self.asked}", **settings), self.now)
        entry.attached = 1
        return entry

    def grant(self) -> list[Entry]:
        """Those served now; each begins its test at once."""
        granted = self.desk.grant(self.now)
        for entry in granted:
            self.desk.claim(entry, self.now)
        self.history += granted
        self.check()
        return granted

    def check(self) -> None:
        running = self.desk.running()
        assert sum(entry.need for entry in running) <= CAPACITY * (1 + 1e-6)
        for site, count in Counter(entry.site for entry in running).items():
            assert count <= self.desk.limits.sites.get(site, self.desk.limits.running_per_site)

    def finish(self, entry: Entry) -> None:
        self.desk.end(entry, "done", self.now)

    def run_to_end(self) -> None:
        """Until everybody was served: each test takes its duration."""
        self.grant()
        while running := self.desk.running():
            first = min(running, key=lambda entry: entry.granted_at + entry.wish.duration)
            self.now = first.granted_at + first.wish.duration
            self.finish(first)
            self.grant()


questions = st.lists(
    st.tuples(
        st.integers(0, 5),  # site
        st.integers(0, 2),  # box
        st.one_of(st.none(), st.floats(1, 300)),  # rate
        st.floats(0.5, 120),
        st.sampled_from(["on-demand", "scheduled", "background"]),
    ),
    max_size=40,
)


@given(questions)
def test_everybody_is_served_and_nothing_ever_collides(asked: list[tuple[int, int, float | None, float, Any]]) -> None:
    line = Line(Desk(CAPACITY, Limits(sites={"t/s0": 2}, queued_per_agent=40)))
    for site, box, rate, duration, priority in asked:
        line.ask(f"t/s{site}/b{box}", rate=rate, duration=duration, priority=priority)
        if box == 0:
            line.grant()
    line.run_to_end()
    assert len(line.history) == len(asked)
    assert not line.desk.queued()


@given(st.lists(st.integers(0, 3), max_size=60), st.randoms(use_true_random=False))
def test_any_order_of_events_keeps_the_limits(events: list[int], random: Any) -> None:
    line = Line(Desk(CAPACITY, LIMITS))
    for event in events:
        line.now += random.choice([0.0, 1.0, 20.0])
        if event == 0:
            try:
                line.ask(f"t/s{random.randrange(4)}/b", rate=random.choice([None, 30.0, 60.0]))
            except RefusedError:
                assert len(line.desk.queued()) >= LIMITS.queued_per_agent
        elif event == 1:
            for entry, _ in line.desk.overdue(line.now):
                line.finish(entry)
        elif event == 2 and line.desk.running():
            line.finish(random.choice(line.desk.running()))
        line.desk.grant(line.now)
        line.check()


def test_sites_take_turns() -> None:
    line = Line()
    for site, boxes in (("many", 4), ("few", 1), ("some", 2)):
        for box in range(boxes):
            line.ask(f"t/{site}/b{box}", rate=None)
    line.run_to_end()
    order = [entry.site.removeprefix("t/") for entry in line.history]
    assert order == ["many", "few", "some", "many", "some", "many", "many"]


def test_what_is_waited_for_is_told() -> None:
    line = Line()
    line.ask("t/other/b", rate=None)
    line.grant()
    mine = line.ask("t/site/a")
    assert line.desk.reason(mine.agent) == "capacity"
    second = line.ask("t/site/b")
    assert (line.desk.reason(mine.agent), line.desk.reason(second.agent)) == ("site", "site")
    line.finish(mine)
    assert line.desk.reason(second.agent) == "capacity"
    assert line.desk.reason("t/other/b") == "site"


def test_class_goes_before_turn() -> None:
    line = Line()
    line.ask("t/a/b", rate=None)
    line.grant()
    for priority in ("background", "scheduled", "on-demand"):
        line.ask(f"t/{priority}/b", rate=None, priority=priority)
    line.run_to_end()
    assert [entry.wish.priority for entry in line.history[1:]] == ["on-demand", "scheduled", "background"]


def test_long_wait_counts_as_a_higher_class() -> None:
    line = Line()
    old = line.ask("t/old/b", rate=None, priority="background")
    line.now = 2 * LIMITS.aging_s
    line.ask("t/new/b", rate=None, priority="on-demand")
    assert line.grant() == [old]


@pytest.mark.parametrize("priority", ["scheduled", "background"])
def test_stream_of_other_tests_starves_nobody(priority: Any) -> None:
    line = Line()
    waiting = line.ask("t/patient/b", rate=None, priority=priority)
    for turn in range(200):
        line.ask(f"t/s{turn % 20}/b{turn}", rate=40.0, duration=30.0, priority="on-demand")
        line.grant()
        line.now += 10
        for entry in line.desk.running():
            if line.now - entry.granted_at >= entry.wish.duration:
                line.finish(entry)
    assert waiting.state != "queued"
    assert waiting.granted_at <= 2 * LIMITS.aging_s + 20 * 45


def test_whole_capacity_is_not_overtaken_by_what_would_delay_it() -> None:
    line = Line()
    line.ask("t/a/b", rate=50.0, duration=20.0)
    first = line.grant()[0]
    whole = line.ask("t/whole/b", rate=None)
    short = line.ask("t/short/b", rate=20.0, duration=5.0)
    long = line.ask("t/long/b", rate=20.0, duration=60.0)
    assert line.grant() == [short], "it ends before the first one must have"
    line.now = 20.0
    line.finish(first)
    line.finish(short)
    assert line.grant() == [whole]
    line.now = 30.0
    line.finish(whole)
    assert line.grant() == [long]


def test_unknown_rate_takes_everything_and_a_greater_one_no_more_than_there_is() -> None:
    line = Line()
    assert line.ask("t/a/b", rate=None).need == CAPACITY
    assert line.ask("t/b/b", rate=5 * CAPACITY).need == CAPACITY


def test_box_that_had_more_than_it_expected_is_given_that_the_next_time() -> None:
    line = Line()
    entry = line.ask("t/a/b", rate=10.0)
    line.grant()
    line.desk.end(entry, "done", 1.0, measured=35.0)
    assert line.ask("t/a/b", rate=10.0).need == 35.0
    assert line.ask("t/a/b", rate=10.0, direction="up").need == 10.0


def test_same_request_is_the_same_place() -> None:
    line = Line()
    first = line.desk.ask("one", "t/a/b", wish(), 0.0)
    assert line.desk.ask("two", "t/a/b", wish(), 1.0) is first
    assert line.desk.ask("three", "t/a/c", wish(), 1.0) is not first, "another box's request is another one"
    assert line.desk.find("one", "t/a/c") is None


def test_slot_that_nobody_uses_is_over_after_its_claim() -> None:
    desk = Desk(CAPACITY, LIMITS)
    entry = desk.ask("one", "t/a/b", wish(), 0.0)
    entry.attached = 1
    assert desk.grant(0.0) == [entry]
    assert desk.overdue(9.9) == []
    assert desk.overdue(10.0) == [(entry, "unused")]
    desk.end(entry, "unused", 10.0)
    assert desk.taken == 0


def test_test_that_does_not_end_is_over_at_its_deadline() -> None:
    desk = Desk(CAPACITY, LIMITS)
    entry = desk.ask("one", "t/a/b", wish(duration=20.0), 0.0)
    entry.attached = 1
    desk.grant(0.0)
    desk.claim(entry, 4.0)
    assert desk.overdue(28.9) == []
    assert desk.overdue(29.0) == [(entry, "deadline")]


def test_place_of_a_box_that_went_away_is_kept_for_a_while_and_never_served() -> None:
    desk = Desk(CAPACITY, LIMITS)
    entry = desk.ask("one", "t/a/b", wish(), 0.0)
    entry.attached = 1
    desk.detach(entry, 1.0)
    assert desk.grant(2.0) == []
    desk.overdue(16.0)
    assert entry.state == "queued"
    desk.overdue(16.1)
    assert (entry.state, entry.ending) == ("ended", "abandoned")


def test_end_is_remembered_for_a_while_and_then_forgotten() -> None:
    desk = Desk(CAPACITY, LIMITS)
    entry = desk.ask("one", "t/a/b", wish(), 0.0)
    desk.end(entry, "released", 0.0)
    desk.overdue(LIMITS.remember_s)
    assert desk.ask("two", "t/a/b", wish(), 600.0) is entry
    desk.overdue(LIMITS.remember_s + 0.1)
    assert not desk.knows("one")
    assert desk.ask("two", "t/a/b", wish(), 601.0) is not entry


def test_full_queue_says_when_to_come_again() -> None:
    line = Line(Desk(CAPACITY, Limits(queued=2)))
    line.ask("t/a/b", rate=None)
    line.ask("t/b/b", rate=None)
    with pytest.raises(RefusedError) as caught:
        line.ask("t/c/b")
    assert str(caught.value) == "the queue is full"
    assert caught.value.retry_after_s == 10, "the one before it wants the whole capacity for so long"


def test_one_box_can_not_fill_the_queue() -> None:
    line = Line(Desk(CAPACITY, Limits(queued_per_agent=2)))
    line.ask("t/a/b")
    line.ask("t/a/b")
    with pytest.raises(RefusedError, match="t/a/b has 2 places already"):
        line.ask("t/a/b")
    assert line.ask("t/a/c")


def test_place_and_time_are_told_as_they_will_be() -> None:
    line = Line()
    line.ask("t/a/b", rate=None, duration=30.0)
    line.grant()
    second = line.ask("t/b/b", rate=None, duration=20.0)
    third = line.ask("t/c/b", rate=None)
    assert (line.desk.place(second, 0.0), line.desk.expected_in(second, 0.0)) == (1, 30.0)
    assert (line.desk.place(third, 10.0), line.desk.expected_in(third, 10.0)) == (2, 40.0)
