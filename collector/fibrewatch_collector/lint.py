"""What `check-config` finds in the store against the promises: objectives that the boxes could never prove."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from fibrewatch import wire
from fibrewatch.errors import ConfigError
from fibrewatch.results.calibration import Result
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.report import expected
from fibrewatch_collector.sla import ceilings, rare
from fibrewatch_collector.sla.ceilings import Boxes, Shown
from fibrewatch_collector.store import Filter, Store

_AT_ONCE = 1000
_CABLES = ("wired", "mobile")
"""What a line hangs on; others, bridges and radios say, count when they tell their speed."""


def check(inventory: Inventory, file: Path, store: Store | None) -> Sequence[str]:
    """Warnings of objectives, one a line.

    Args:
        store: What the boxes have told; None where there is no store yet.

    Raises:
        ConfigError: An objective could never be proved.
    """
    boxes = shown(store) if store is not None else {}
    for place, problem in ceilings.never_proved(inventory, boxes):
        raise ConfigError(str(file), place, problem)
    warned = [*ceilings.beyond_gigabit(inventory, boxes), *rare.never_at_risk(inventory, schedules(store))]
    return [f"{file}: {place}: {problem}" for place, problem in warned]


def schedules(store: Store | None) -> rare.Schedules:
    """What each box was told last to run."""
    found = expected.decoded(store.schedules(Filter())) if store is not None else []
    return {agent: told.schedule for agent, _, told in sorted(found, key=lambda each: each[1])}


def shown(store: Store) -> Boxes:
    """What each box told last of its interfaces, but for loopback, and of its own ceilings."""
    found: dict[tuple[wire.AgentId, str], Shown] = {}
    for one in store.schedules(Filter()):  # in the order of time: the newest stays
        found = {key: each for key, each in found.items() if key[0] != one.agent}
        try:
            told = msgspec.json.decode(one.raw, type=wire.Inventory)
        except msgspec.MsgspecError:
            continue
        used = [each for each in told.interfaces if each.up and (each.kind in _CABLES or each.link_speed is not None)]
        found |= {(one.agent, each.name): Shown(link_speed=each.link_speed) for each in used}
    for agent, interface, day, result in _calibrations(store):
        found[agent, interface] = found.get((agent, interface), Shown())._replace(
            download=result.ceiling_down,
            upload=result.ceiling_up,
            calibrated=f"{day} against {result.reference}",
        )
    return found


def _calibrations(store: Store) -> Iterator[tuple[wire.AgentId, str, str, Result]]:
    """In the order of their time."""
    after, made = 0, []
    while rows := store.measurements(Filter(probe="calibration"), after, _AT_ONCE):
        made += [(row.agent, wire.decode_measurement(row.raw)) for row in rows]
        after = rows[-1].row
    for agent, one in sorted(made, key=lambda each: each[1].started_at):
        if one.outcome == "ok" and isinstance(one.result, Result) and one.interface is not None:
            yield agent, one.interface, f"{one.started_at:%Y-%m-%d}", one.result
