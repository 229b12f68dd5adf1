"""Each site's state right now, its cause and since when."""

from datetime import UTC, datetime

import pytest

from fibrewatch.wire import AgentId, ScheduledTest, Status
from fibrewatch.wire import Inventory as Schedule
from fibrewatch_collector.inventory import Agent, Inventory, Uplink
from fibrewatch_collector.sla.live import SiteState
from fibrewatch_collector.sla.tracker import MAX_WINDOWS, RECONNECT_S, Tracker
from tests.unit.collector.runs import T0, in_paris, parisian, window


def fleet(sites: int = 1, agents: int = 1, *, mobile: bool = False) -> Inventory:
    uplinks = (Uplink(id="fibre", kind="fibre"), *([Uplink(id="4g", kind="mobile")] if mobile else []))
    boxes = tuple(Agent(id=f"box-{n}", interfaces={"wwan0": "4g"} if mobile else {}) for n in range(agents))
    return in_paris(parisian(n, uplinks, boxes) for n in range(sites))


def box(site: int = 0, agent: int = 0) -> AgentId:
    return AgentId("paris", f"s{site}", f"box-{agent}")


def status(at: float, *lost: str, state: str = "online") -> Status:
    when = datetime.fromtimestamp(at, UTC) if state == "online" else None
    return Status(state=state, version="1", boot="00000000", at=when, lost_targets=lost)  # type: ignore[arg-type]


def say(
    tracker: Tracker, said: str, start: float = T0, who: AgentId | None = None, interface: str | None = None
) -> None:
    """Windows of a minute, heard 2 s after its end: `gw dns -far`, with a minus where all was lost."""
    for name in said.split():
        tracker.add(who or box(), window(name, start, interface=interface), start + 62)


def state(tracker: Tracker, now: float = T0 + 63, since: float | None = T0 - 3600, site: int = 0) -> SiteState:
    return tracker.evaluate(now, since)["paris", f"s{site}"]


@pytest.mark.parametrize(
    ("said", "expected", "cause"),
    [
        ("gw edge dns far", "up", None),
        ("gw -edge -dns -far", "down", "access"),
        ("gw edge -dns -far", "down", "operator"),
        ("-gw -dns -far", "down", "lan"),
        ("-dns -far", "down", "unknown"),
        ("gw dns -far", "degraded", "target"),
        ("gw -far", "degraded", "target"),
    ],
)
def test_state_of_one_uplink(said: str, expected: str, cause: str | None) -> None:
    tracker = Tracker(fleet())
    say(tracker, said)
    assert state(tracker)[:2] == (expected, cause)


def test_nothing_heard_is_unknown() -> None:
    assert state(Tracker(fleet()))[:2] == ("unknown", "unheard")


def test_loss_of_some_packets_degrades() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns")
    tracker.add(box(), window("far", T0, lost=5), T0 + 62)
    assert state(tracker)[:2] == ("degraded", "loss")


def test_one_lost_packet_in_a_short_window_is_nothing() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns")
    tracker.add(box(), window("far", T0, lost=1), T0 + 62)
    assert state(tracker)[:2] == ("up", None)


def test_down_since_the_last_target_was_lost() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns far")
    say(tracker, "gw -dns -far", T0 + 60)
    assert state(tracker, T0 + 123)[:5] == ("down", "access", T0 + 67, {"fibre": ("U", "access")}, ("dns", "far"))
    say(tracker, "gw -dns -far", T0 + 120)
    assert state(tracker, T0 + 183).since == T0 + 67
    say(tracker, "gw dns far", T0 + 180)
    assert state(tracker, T0 + 243)[:3] == ("up", None, T0 + 243)


def test_status_tells_of_lost_targets_before_the_window_does() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns far")
    tracker.set_status(box(), status(T0 + 70, "dns", "far"), T0 + 70)
    assert state(tracker, T0 + 71)[:3] == ("down", "access", T0 + 70)
    tracker.set_status(box(), status(T0 + 90), T0 + 90)
    assert state(tracker, T0 + 91)[:2] == ("up", None)


def test_target_that_status_says_is_back_needs_no_window() -> None:
    tracker = Tracker(fleet())
    tracker.set_status(box(), status(T0 + 30, "dns", "far"), T0 + 30)
    say(tracker, "gw -dns -far")
    assert state(tracker).state == "down"
    tracker.set_status(box(), status(T0 + 65), T0 + 65)
    assert state(tracker, T0 + 66).state == "up"


def test_status_without_lost_targets_does_not_hide_a_lost_window() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw -dns -far")
    tracker.set_status(box(), status(T0 + 70), T0 + 70)
    assert state(tracker, T0 + 71).state == "down"


def test_silence_of_two_and_a_half_windows_is_unreachable_since_it_was_last_heard() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns far")
    assert state(tracker, T0 + 62 + 150).state == "up"
    assert state(tracker, T0 + 62 + 151)[:3] == ("unreachable", "line_or_power", T0 + 62)


def test_silence_is_counted_in_the_windows_of_the_schedule() -> None:
    tracker = Tracker(fleet())
    test = ScheduledTest(test="ping", probe="ping", mode="window", every_s=10, target="dns")
    tracker.set_schedule(box(), Schedule(version="1", schedule=(test,)))
    tracker.set_status(box(), status(T0), T0)
    assert state(tracker, T0 + 25).state != "unreachable"
    assert state(tracker, T0 + 26).state == "unreachable"


def test_last_will_is_unreachable_at_once() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns far")
    tracker.set_status(box(), status(0, state="offline"), T0 + 64)
    assert state(tracker, T0 + 64)[:2] == ("unreachable", "line_or_power")


def test_silence_does_not_count_while_the_collector_could_not_hear() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns far")
    assert state(tracker, T0 + 1000, since=T0 + 990).state == "unknown"
    assert state(tracker, T0 + 990 + 151, since=T0 + 990).state == "unreachable"


def test_last_will_from_before_a_reconnect_is_not_believed_at_once() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns far")
    tracker.set_status(box(), status(0, state="offline"), T0 + 70)
    assert state(tracker, T0 + 70, since=T0 + 69).state == "up"
    assert not tracker.up(box(), T0 + 70, T0 + 69)
    assert state(tracker, T0 + 70 + RECONNECT_S, since=T0 + 69).state == "unreachable"


def test_last_will_of_a_box_that_was_heard_since_is_believed_at_once() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns far")
    tracker.set_status(box(), status(T0 + 70), T0 + 70)
    tracker.set_status(box(), status(0, state="offline"), T0 + 75)
    assert state(tracker, T0 + 75, since=T0 + 69).state == "unreachable"


def test_collector_without_broker_or_store_accuses_nobody() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw -dns -far")
    assert state(tracker).state == "down"
    assert state(tracker, T0 + 70, since=None)[:2] == ("unknown", "collector")
    assert state(tracker, T0 + 71, since=T0 + 71)[:3] == ("down", "access", T0 + 7)


def test_site_with_a_second_uplink_is_degraded_when_the_first_fails() -> None:
    tracker = Tracker(fleet(mobile=True))
    say(tracker, "gw -dns -far")
    say(tracker, "dns far", interface="wwan0")
    found = state(tracker)
    assert found[:2] == ("degraded", "access")
    assert found.uplinks == {"fibre": ("U", "access"), "4g": ("A", None)}


def test_site_with_one_of_two_boxes_silent_is_degraded() -> None:
    tracker = Tracker(fleet(agents=2))
    say(tracker, "gw dns far", who=box(agent=1))
    say(tracker, "gw dns far", T0 + 180)
    assert state(tracker, T0 + 243)[:2] == ("degraded", "agent")


def test_one_dead_responder_leaves_all_sites_up_and_a_cut_line_is_still_seen() -> None:
    tracker = Tracker(fleet(sites=5))
    for n in range(4):
        say(tracker, "gw dns -far", who=box(n))
    say(tracker, "gw -edge -dns -far", who=box(4))
    states = tracker.evaluate(T0 + 63, T0 - 3600)
    assert {states["paris", f"s{n}"][:2] for n in range(4)} == {("up", "target")}
    assert states["paris", "s4"][:2] == ("down", "access")


def test_two_sites_that_miss_a_target_are_degraded() -> None:
    tracker = Tracker(fleet(sites=2))
    for n in range(2):
        say(tracker, "gw dns -far", who=box(n))
    assert state(tracker)[:2] == ("degraded", "target")


def test_old_windows_say_nothing_of_a_box_that_is_heard() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw -dns -far")
    tracker.set_status(box(), status(T0 + 600), T0 + 600)
    assert state(tracker, T0 + 601)[:2] == ("unknown", "samples")


@pytest.mark.parametrize("late", [T0 - 60, T0])
def test_late_window_changes_nothing(late: float) -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns far")
    say(tracker, "gw -dns -far", late)
    assert state(tracker).state == "up"


def test_target_that_is_no_longer_measured_is_forgotten() -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns -far")
    test = ScheduledTest(test="ping", probe="ping", mode="window", every_s=60, target="dns")
    tracker.set_schedule(box(), Schedule(version="1", schedule=(test,)))
    assert state(tracker)[:2] == ("up", None)


def test_box_that_left_the_inventory_is_forgotten() -> None:
    tracker = Tracker(fleet(sites=2))
    say(tracker, "gw dns far", who=box(1))
    tracker.set_inventory(fleet(sites=1))
    assert set(tracker.evaluate(T0 + 63, T0)) == {("paris", "s0")}
    say(tracker, "gw dns far", who=box(1))
    assert tracker.heard_at(box(1)) is None


@pytest.mark.parametrize(
    "odd", [{"reasons": ("undated",)}, {"verdict": "invalid"}, {"result": None}, {"probe": "sonar"}]
)
def test_runs_that_tell_nothing_of_the_line_only_show_that_the_box_lives(odd: dict[str, object]) -> None:
    tracker = Tracker(fleet())
    say(tracker, "gw dns far")
    for name in ("-dns", "-far"):
        tracker.add(box(), window(name, T0 + 60, **odd), T0 + 122)
    assert state(tracker, T0 + 123)[:2] == ("up", None)
    assert tracker.heard_at(box()) == T0 + 122


def test_what_is_remembered_of_a_box_is_bounded() -> None:
    tracker = Tracker(fleet())
    for n in range(MAX_WINDOWS + 50):
        tracker.add(box(), window("dns", T0 + n, test=f"ping-{n}"), T0 + n)
        tracker.set_status(box(), status(T0 + n, f"invented-{n}"), T0 + n)
    remembered = tracker._boxes[box()]
    assert len(remembered.windows) == MAX_WINDOWS
    assert ("dns", "ping-0", None, None) not in remembered.windows
    assert len(remembered.told_lost) == 1
    assert not remembered.told_back
