"""How many runs a box owed, by the schedules that were in force. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from fibrewatch.errors import WireError
from fibrewatch.wire import AgentId, ScheduledTest, decode
from fibrewatch.wire import Inventory as Schedule
from fibrewatch_collector.store import Scheduled

Key = tuple[str, str, str, str | None]
"""Uplink, probe, test, target."""
Span = tuple[float, float]
NOBODY: Mapping[AgentId, float] = {}


def decoded(schedules: Iterable[Scheduled]) -> list[tuple[AgentId, float, Schedule]]:
    """Those that this program can read, by agent and time."""
    found = []
    for each in schedules:
        try:
            found.append((each.agent, each.since, decode(each.raw, Schedule)))
        except WireError:  # of a newer program: then nothing is known to be missing
            continue
    return found


def runs(
    schedules: list[tuple[AgentId, float, Schedule]],
    span: Span,
    ridden: Callable[[AgentId, str | None, float, float], Mapping[str, Iterable[Span]]],
    until: Mapping[AgentId, float] = NOBODY,
) -> dict[Key, int]:
    """Runs that began within a span, if all did; a test that was not scheduled is not there.

    Args:
        schedules: Those in force, by box and time.
        span: What of it counts.
        ridden: Which lines a box's interface was on in a stretch, and when.
        until: Until when boxes that are gone were there.
    """
    found: dict[Key, int] = {}
    for agent, schedule, (begin, last) in _in_force(schedules, span):
        end = min(last, until.get(agent, last))
        for test in schedule.schedule:
            lines = ridden(agent, test.interface, begin, end) if test.mode != "event" else {}
            for uplink, spans in lines.items():
                key = (uplink, test.probe, test.test, test.target)
                found[key] = found.get(key, 0) + sum(_slots(test, *each) for each in spans)
    return found


def _in_force(schedules: list[tuple[AgentId, float, Schedule]], span: Span) -> Iterator[tuple[AgentId, Schedule, Span]]:
    for at, (agent, since, schedule) in enumerate(schedules):
        following = schedules[at + 1] if at + 1 < len(schedules) else None
        until = following[1] if following is not None and following[0] == agent else span[1]
        begin, end = max(since, span[0]), min(until, span[1])
        if begin < end:
            yield agent, schedule, (begin, end)


def _slots(test: ScheduledTest, begin: float, end: float) -> int:
    """Whole periods from the epoch on; a burst's own phase can make it one more or less."""
    if test.every_s <= 0 or end <= begin:
        return 0
    return int(-(-end // test.every_s) - -(-begin // test.every_s))
