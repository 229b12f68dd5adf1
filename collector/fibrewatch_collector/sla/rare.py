"""Objectives whose tests come too seldom for their alert ever to be: against the schedules that boxes have told. Pure.

*ObjectiveMissed* and *TelepresencePair* take 3 of the last 5 tests, all 5 where there is but one target, and tests that
are older than `recent.OLDEST_S` say nothing of now.
"""

from collections.abc import Iterator, Mapping, Sequence

from fibrewatch.wire import AgentId, ScheduledTest
from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.sla import recent
from fibrewatch_collector.sla.burn import text
from fibrewatch_collector.sla.objectives import Objective

Schedules = Mapping[AgentId, Sequence[ScheduledTest]]


def never_at_risk(inventory: Inventory, schedules: Schedules) -> Iterator[tuple[str, str]]:
    """Place and problem; nothing of a line of which a box has not told its schedule, or runs no such test."""
    for site in inventory.sites.values():
        if any(agent not in schedules for agent in inventory.agents_of(site)):
            continue
        for uplink in site.uplinks:
            promise = inventory.promise(site, uplink.id)
            for objective in promise.objectives if promise is not None else ():
                tests = _tests(inventory, site, uplink.id, objective, schedules)
                if tests and (problem := _problem(tests, objective)) is not None:
                    yield f'site "{site.id}".uplink "{uplink.id}".objective "{objective.id}"', problem


def _problem(tests: Sequence[ScheduledTest], objective: Objective) -> str | None:
    oldest = recent.oldest(recent.probe_of(objective))
    count = sum(int(oldest // test.every_s) for test in tests if test.every_s > 0)
    needed = recent.MISSES if len({test.target for test in tests}) >= recent.TARGETS else recent.TESTS
    if count >= needed:
        return None
    return (
        f"its alert can never fire: {count} of its tests come in {text(oldest)}, which is as long as one counts, "
        f"and it takes {needed}; test it oftener"
    )


def _tests(
    inventory: Inventory, site: Site, uplink: str, objective: Objective, schedules: Schedules
) -> list[ScheduledTest]:
    """Those of a line that may count for an objective; which way a transfer goes its test's name tells, if any does."""
    if objective.kind in recent.NOT_BY_TESTS:
        return []
    probe = recent.probe_of(objective)
    found = [
        test
        for agent in inventory.agents_of(site)
        for test in schedules[agent]
        if test.probe == probe and test.mode != "event" and inventory.uplink_of(agent, test.interface) == uplink
    ]
    if objective.peer is not None:
        there = objective.peer.replace("/", ".") + "."
        return [test for test in found if test.target is None or test.target.startswith(there)]
    way = {"download": "down", "upload": "up"}.get(objective.direction or "", "")
    return [test for test in found if test.test.startswith(way)] or found
