"""Runs one probe several times as an agent would, with one memory, and prints a line of JSON after each run.

    python -m tests.support.repeat_driver '{"probe": "path", "address": "10.99.4.2", "runs": 2}'

A line on standard input is waited for before each run but the first, so that a test may change the world in between.
"user" is who it becomes after its start, where this user namespace knows that number; no capability may be left then.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from fibrewatch.results import PROBES
from fibrewatch_agent.probes import probe_function
from tests.support.probe_driver import run
from tests.support.users import mapped


def become(user: int) -> None:
    """Gives up root for good, and says so if anything of it is left."""
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
    _ = probe_function(probe), PROBES[probe]  # what is imported is imported as the owner of the files
    if user is not None:
        become(user)
    for number in range(runs):
        if number:
            await asyncio.to_thread(sys.stdin.readline)
        said = await run(probe, order.get("address"), **{"params": {}} | more(order), memory=memory)
        print(msgspec.json.encode(said).decode(), flush=True)


def more(order: dict[str, Any]) -> dict[str, Any]:
    """What of an order goes to the box and the probe."""
    return {key: value for key, value in order.items() if key != "address"}


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
