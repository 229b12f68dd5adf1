"""The agent's middle in another network namespace, as long as a test wants: orders on standard input, answers as JSON.

python -m tests.support.heavy_driver CONFIG; an order is a line, for the config's first test: `learn`, `age` (what was
learnt was a day ago), `hold` or `run`.
"""

import asyncio
import json
import sys
from pathlib import Path

from msgspec.structs import replace

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement
from fibrewatch_agent.clock import boot_id
from fibrewatch_agent.conditions import Observer
from fibrewatch_agent.config import load_config
from fibrewatch_agent.line.baseline import KNOWN_S
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.runner import Runner
from fibrewatch_agent.transfer.heavy import Heavy


async def main(path: Path) -> None:
    """Until standard input ends."""

    async def store(measurement: AnyMeasurement, *, dated: bool) -> None:
        print(wire.encode(measurement).decode(), flush=True)

    config = load_config(path)
    heavy = Heavy(folder=config.state_dir)
    heavy.adopt(config)
    runner = Runner(
        agent=str(config.agent), boot=boot_id(), icmp=IcmpSockets(), observer=Observer(), store=store, heavy=heavy
    )
    plan = config.plans[0]
    while order := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if order == "run":
            await runner.run(plan)
        elif order == "hold":
            held = await runner.hold(plan)
            print(json.dumps(held and [held.reason, held.detail]), flush=True)
        elif order == "age":
            trips = heavy.round_trips(plan.uplink or "")
            trips.history = [replace(each, at=each.at - KNOWN_S) for each in trips.history]
            print(json.dumps(None), flush=True)
        else:
            await runner.learn(plan)
            print(json.dumps(None), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
