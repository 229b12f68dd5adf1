"""capacity: maximum IP-layer capacity by UDP in a responder's slot, by RFC 9097's search; where TCP is held back."""

import asyncio
import secrets

import msgspec

from fibrewatch import python_child
from fibrewatch.errors import ToolError
from fibrewatch.measurement import Error
from fibrewatch.results.capacity import Params, Result
from fibrewatch_agent.box import Box, ProbeError, flowing
from fibrewatch_agent.capacity.figures import complaint, limits_of, result_of
from fibrewatch_agent.capacity.messages import Hello
from fibrewatch_agent.capacity.order import ORDER, Order, Outcome
from fibrewatch_agent.child import child
from fibrewatch_agent.child_answer import answer
from fibrewatch_agent.slots.far_desk import Slot
from fibrewatch_agent.slots.messages import Priority, Wish
from fibrewatch_agent.slots.reservation import reserve
from fibrewatch_agent.tables import Control
from fibrewatch_agent.traffic.amounts import Amount, Way

NEEDS_TARGET = True
_ON_DEMAND = "once"
_ABOVE_CONTRACT = 1.2
"""What is asked for, of the contracted rate: lines carry a little more, and the search must meet their limit."""
_START_S, _MARGIN_S = 20.0, 5.0  # a slow card takes seconds to load Python
_LOOK_S = 0.1
_LARGEST = 4 << 20
_FEEDBACK_BYTES, _FEEDBACKS = 450, 20


async def capacity(params: Params, box: Box) -> Result:
    """One search in one direction.

    Raises:
        ProbeError: What went wrong; its result holds what was measured until then.
    """
    if box.control is None:
        raise ProbeError("denied", "capacity needs a slot: the target has no control API")
    await box.resolve()
    async with reserve(box.control, _wish(params, box, box.control), box, params.patience_s, box.aside) as slot:
        box.resolved, box.used_family = slot.host, 6 if ":" in slot.host else 4
        box.near.set()
        outcome = await _run(_order(params, box, slot), box)
    if outcome.began is not None and outcome.ended is not None:
        box.flow = (outcome.began, outcome.ended)
    return _judged(msgspec.structs.replace(result_of(params, outcome), port=slot.port), outcome, params, box)


def _judged(result: Result, outcome: Outcome, params: Params, box: Box) -> Result:
    """The result, its verdict noted.

    Raises:
        ProbeError: The test failed, or ended before anything could be told.
    """
    if outcome.error is not None:
        some = result if result.transferred else None
        raise ProbeError(outcome.error, outcome.detail or outcome.error, result=some)
    lie = complaint(params, outcome)
    if lie is not None:
        raise ProbeError("protocol", lie)
    if result.capacity is None:
        error: Error = "busy" if result.stopped == "tenants" else "protocol"
        raise ProbeError(error, "the test ended before a second was over", result=result)
    for verdict, reason in limits_of(result, outcome):
        box.mark(verdict, reason)
    return result


def _wanted(params: Params, control: Control) -> float | None:
    contracted = control.rate_down if params.direction == "down" else control.rate_up
    return params.expected_rate or (contracted * _ABOVE_CONTRACT if contracted else None)


def _wish(params: Params, box: Box, control: Control) -> Wish:
    priority: Priority = "on-demand" if box.test == _ON_DEMAND else params.priority
    return Wish(
        request="-" * 8,  # `reserve` makes one
        direction=params.direction,
        method="udp-capacity",
        duration=params.duration_s,
        rate=_wanted(params, control),
        priority=priority,
        prepare=_MARGIN_S,
    )


def _order(params: Params, box: Box, slot: Slot) -> Order:
    wanted = _wanted(params, box.control) if box.control is not None else None
    hello = Hello(
        nonce=secrets.token_urlsafe(16),
        direction=params.direction,
        duration_s=params.duration_s,
        packet_bytes=params.packet_bytes,
        most=min(wanted or slot.capacity, slot.capacity),
        max_bytes=params.max_bytes,
        tolerated_loss=params.tolerated_loss,
        lower_s=params.lower_s,
        upper_s=params.upper_s,
    )
    return Order(
        token=slot.token,
        host=slot.host,
        port=slot.port,
        interface=box.interface,
        hello=hello,
        timeout_s=params.timeout_s,
    )


async def _run(order: Order, box: Box) -> Outcome:
    argv, env = python_child.command("fibrewatch_agent.capacity.child"), {ORDER: msgspec.json.encode(order).decode()}
    duration_s = order.hello.duration_s if order.hello is not None else 0.0
    limit_s = _START_S + order.timeout_s + duration_s + _MARGIN_S
    try:
        with flowing(box):
            async with child(argv, keep=_LARGEST, env=env) as process, asyncio.timeout(limit_s):
                while not await process.ends_within(_LOOK_S):
                    if box.enough.is_set():
                        await process.stop()
                return await answer(process, Outcome)
    except TimeoutError as e:
        raise ProbeError("timeout", "the child process hangs") from e
    except ToolError as e:
        raise ProbeError("tool_missing", str(e)) from e
    except OSError as e:
        raise ProbeError("tool_failed", f"no child process: {e.strerror}") from e


def traffic(params: Params, way: Way) -> Amount | None:
    """As much as the interface carries, as is reserved, or as may be sent; None where none is known."""
    rates = [rate for rate in (way.rate, params.expected_rate) if rate is not None]
    bounds = [rate * params.duration_s for rate in rates] + ([params.max_bytes] if params.max_bytes else [])
    if not bounds:
        return None
    load = min(bounds) * (params.packet_bytes + 14) / params.packet_bytes
    reports = params.duration_s * _FEEDBACKS * way.udp(_FEEDBACK_BYTES)
    up, down = (reports, load) if params.direction == "down" else (load, reports)
    return Amount(up, down, "at most")
