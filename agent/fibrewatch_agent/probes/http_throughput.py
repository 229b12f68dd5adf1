"""http_throughput: TCP goodput to or from any web server, by a child process that asks for a URL or sends to it."""

import msgspec

from fibrewatch import python_child
from fibrewatch.errors import ToolError
from fibrewatch.measurement import Error
from fibrewatch.results.http_throughput import Params, Result
from fibrewatch_agent.box import Box, ProbeError, flowing
from fibrewatch_agent.child import child
from fibrewatch_agent.child_answer import answer
from fibrewatch_agent.http_load.figures import limits_of, result_of
from fibrewatch_agent.http_load.order import ORDER, Order, Outcome
from fibrewatch_agent.net.tcp_info import settable
from fibrewatch_agent.services.http_exchange import DEFAULT_PORTS
from fibrewatch_agent.traffic.amounts import Amount, Way, bulk

NEEDS_TARGET = True
_START_S = 20.0  # a slow card takes seconds to load Python
_BEGIN_TIMEOUTS, _MARGIN_S = 3, 5.0
_LOOK_S = 0.1
_LARGEST = 1 << 20


async def http_throughput(params: Params, box: Box) -> Result:
    """One transfer over several connections.

    Raises:
        ProbeError: As http; its result holds what was measured until then.
    """
    address = await box.resolve()
    box.near.set()
    await box.ready()
    outcome = await _transfer(_order(params, box, address), box)
    if outcome.address:
        box.resolved = outcome.address
    if outcome.samples:
        box.flow = (outcome.samples[0][0], outcome.samples[-1][0])
    result = result_of(params, outcome)
    if outcome.error is not None:
        some = result if result.transferred or result.connect is not None else None
        raise ProbeError(outcome.error, outcome.detail or outcome.error, result=some)
    if result.goodput is None:
        error: Error = "busy" if outcome.stopped == "tenants" else "protocol"
        raise ProbeError(error, "the transfer ended before anything could be told", result=result)
    for verdict, reason in limits_of(result, outcome):
        box.mark(verdict, reason)
    return result


def _order(params: Params, box: Box, address: str) -> Order:
    return Order(
        params=params,
        host=params.host or box.address or "",
        port=params.port or DEFAULT_PORTS[params.scheme],
        address=address,
        interface=box.interface,
        family=box.family,
        congestion="cubic" if params.direction == "up" and settable("cubic") else None,
    )


async def _transfer(order: Order, box: Box) -> Outcome:
    argv, env = python_child.command("fibrewatch_agent.http_load.child"), {ORDER: msgspec.json.encode(order).decode()}
    limit_s = _START_S + order.params.timeout_s * _BEGIN_TIMEOUTS + _MARGIN_S
    looks = round((limit_s + order.params.duration_s + order.params.omit_s) / _LOOK_S)
    try:
        with flowing(box):
            async with child(argv, keep=_LARGEST, env=env) as process:
                for _ in range(looks):
                    if await process.ends_within(_LOOK_S):
                        return await answer(process, Outcome)
                    if box.enough.is_set():
                        await process.stop()
    except ToolError as e:
        raise ProbeError("tool_missing", str(e)) from e
    except OSError as e:
        raise ProbeError("tool_failed", f"no child process: {e.strerror}") from e
    raise ProbeError("timeout", "the child process hangs")


def traffic(params: Params, way: Way) -> Amount | None:
    """As much as the interface carries until its end, or as it may move; None where neither is known."""
    return bulk(way, params.direction, params.duration_s + params.omit_s, params.max_bytes)
