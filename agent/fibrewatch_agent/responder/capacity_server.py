"""One slot's end of a capacity test: a child process on the slot's UDP port, which hears its box alone."""

from collections.abc import Callable

import msgspec

from fibrewatch import python_child
from fibrewatch.errors import ToolError
from fibrewatch_agent.capacity.order import CLAIMED, ORDER, READY, Order, Outcome
from fibrewatch_agent.child import Child, child
from fibrewatch_agent.responder.slot_server import Ended, Place
from fibrewatch_agent.slots.messages import Wish

_COMES_UP_S, _LOOK_S = 10.0, 0.02
_LARGEST = 4 << 20


class CapacityServer:
    """Serves one slot on one port.

    Args:
        most: Bytes of IP per second that the box has reserved: no more is sent to it.
    """

    def __init__(self, place: Place, port: int, wish: Wish, most: float) -> None:
        self._place = place
        self._order = Order(
            token=place.password,
            host=place.here,
            port=port,
            peer=place.peer.partition("%")[0],
            direction=wish.direction,
            duration_s=wish.duration,
            most=most,
        )

    async def run(self, ready: Callable[[], None], claimed: Callable[[], None]) -> Ended | None:
        """Until its test has ended; None when nothing was moved.

        Raises:
            ToolError: It does not come up: the port is taken, say.
        """
        argv = python_child.command("fibrewatch_agent.capacity.child")
        env = {ORDER: msgspec.json.encode(self._order).decode()}
        async with child(argv, keep=_LARGEST, env=env) as server:
            for _ in range(round(_COMES_UP_S / _LOOK_S)):
                if bytes(server.output).startswith(READY.encode()):
                    break
                if await server.ends_within(_LOOK_S):
                    raise ToolError(f"UDP port {self._order.port}: {_last_words(server)}")
            else:
                raise ToolError(f"UDP port {self._order.port}: no child process in {_COMES_UP_S:g} s")
            ready()
            while not await server.ends_within(_LOOK_S):
                if f"\n{CLAIMED}\n".encode() in server.output:
                    claimed()
                    break
            await server.wait()
            return _ended(server)


def _outcome(server: Child) -> Outcome | None:
    try:
        return msgspec.json.decode(bytes(server.output).rpartition(b"\n")[2], type=Outcome)
    except msgspec.MsgspecError:
        return None


def _ended(server: Child) -> Ended | None:
    outcome = _outcome(server)
    if outcome is None or outcome.began is None or outcome.ended is None:
        return None
    took_s, moved = outcome.ended - outcome.began, outcome.moved
    return Ended(well=outcome.error is None, rate=moved / took_s if moved and took_s > 0 else None, moved=moved)


def _last_words(server: Child) -> str:
    outcome = _outcome(server)
    if outcome is not None and outcome.detail:
        return outcome.detail
    lines = server.errors.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit status {server.transport.get_returncode()}"
