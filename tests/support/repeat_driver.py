"""Runs one probe several times as an agent would, with one memory, and prints a line of JSON after each run.

    python -m tests.support.repeat_driver '{"probe": "path", "address": "10.99.4.2", "runs": 2}'

A line on standard input is waited for before each run but the first, so that a test may change the world in between.
"cancel" has it cancelled at each of its waits instead, and prints how many there were; "block" holds the loop for 20 ms
out of every 50, as a slow library would. "user" is who it becomes after its start, where this user namespace knows that
number; no capability may be left then.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from fibrewatch.results import PROBES
from fibrewatch_agent.probes import probe_function
from tests.support.leftovers import cancel_at_each_wait
from tests.support.probe_driver import run
from tests.support.users import mapped


def become(user: int) -> None:
    """Gives up root for good, and says so if anything of it is left."""
    "".encode("idna")  # names are resolved with it, and this user may not be able to read where Python is installed
    if mapped(user):
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    status = Path("/proc/self/status").read_text("ascii").splitlines()
    effective = next(line.split()[1] for line in status if line.startswith("CapEff"))
    if int(effective, 16):
        raise SystemExit(f"capabilities are left: {effective}")


async def main(order: dict[str, Any]) -> None:
    """All runs, one after the other."""
    probe, runs, user, memory = order.pop("probe"), order.pop("runs", 1), order.pop("user", None), {}
    cancel, held = order.pop("cancel", False), order.pop("block", False)
    _ = probe_function(probe), PROBES[probe]  # what is imported is imported as the owner of the files
    if user is not None:
        become(user)
    blocker = asyncio.get_running_loop().create_task(block()) if held else None

    async def once() -> dict[str, Any]:
        return await run(probe, order.get("address"), **{"params": {}} | more(order), memory=memory)

    for number in range(runs):
        if number:
            await asyncio.to_thread(sys.stdin.readline)
        said = {"waits": await cancel_at_each_wait(once)} if cancel else await once()
        print(msgspec.json.encode(said).decode(), flush=True)
    if blocker:
        blocker.cancel()


async def block() -> None:
    """Holds the loop again and again."""
    while True:
        time.sleep(0.02)
        await asyncio.sleep(0.03)


def more(order: dict[str, Any]) -> dict[str, Any]:
    """What of an order goes to the box and the probe."""
    return {key: value for key, value in order.items() if key != "address"}


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
