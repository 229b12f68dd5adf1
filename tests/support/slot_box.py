"""A box in a namespace of its own: asks for a slot, looks who can reach it, measures, looks again.

python -m tests.support.slot_box URL CA TOKEN-FILE OWN-ADDRESS STRANGERS-ADDRESS
"""

import asyncio
import socket
import sys
from pathlib import Path

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.slots import far_desk
from fibrewatch_agent.slots.far_desk import Slot
from fibrewatch_agent.slots.reservation import reserve
from fibrewatch_agent.tables import Control
from tests.support.iperf3 import box
from tests.support.slots import transfer, wish


def reach(slot: Slot, source: str) -> str:
    """What a connection from this address meets."""
    try:
        socket.create_connection((slot.host, slot.port), timeout=5, source_address=(source, 0)).close()
    except ConnectionRefusedError:
        return "refused"
    return "reached"


async def main(url: str, ca: str, token: str, own: str, stranger: str) -> None:
    """Prints what it met."""
    control = Control(urls=(url,), ca=None if ca == "-" else Path(ca), token=Path(token))
    far_desk._ANSWERS_S = 2.0
    try:
        async with reserve(control, wish(), box(), 2) as slot:
            print("stranger:", reach(slot, stranger))
            print("box:", reach(slot, own))
            run = await transfer(slot)
            while run.failure and run.failure.error == "refused":  # the look has cost the server its turn
                run = await transfer(slot)
            print("measured:", run.failure)
    except ProbeError as e:
        print("no slot:", e)
        return
    await asyncio.sleep(0.5)
    print("afterwards:", reach(slot, own))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
