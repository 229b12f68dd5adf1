"""What the responder saw of a slot, as far as it limits what the figure proves. Pure."""

from collections.abc import Iterator

from fibrewatch.measurement import Verdict
from fibrewatch_agent.slots.far_desk import Slot
from fibrewatch_agent.transfer.verdict import AT_CEILING, GOODPUT_CEILING, SATURATED, at_least


def far_limits(slot: Slot, goodput: float | None) -> Iterator[tuple[Verdict, str]]:
    """Why the far end, and not the line, may have been the limit.

    Its uplink is a link as ours is: TCP's payload is 0.9415 of its rate at most.
    """
    told = slot.after.told
    share = min(slot.capacity, told.share) if told is not None and told.share is not None else slot.capacity
    if at_least(goodput, share, AT_CEILING * GOODPUT_CEILING):
        yield "censored", "responder_ceiling"
    if told is None:
        return
    server_full = told.cpu is not None and told.cpu + (told.waited or 0.0) >= SATURATED * (told.cores or 1)
    if server_full or (told.busy or 0) >= SATURATED or (told.softirq or 0) >= SATURATED:
        yield "censored", "cpu_saturated"
