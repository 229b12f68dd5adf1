"""A process of its own with nothing but an uplink: `FOLDER PORT`; a test kills it."""

import asyncio
import sys
from pathlib import Path

from fibrewatch import wire
from fibrewatch_agent.config import BrokerConfig
from fibrewatch_agent.uplink import run_uplink
from tests.support.spooled import BOOT, open_spool


async def main(folder: Path, port: int) -> None:
    """Runs until it is killed."""
    await run_uplink(
        BrokerConfig(host="127.0.0.1", port=port),
        wire.AgentId("paris", "cargo", "box-01"),
        open_spool(folder),
        lambda: wire.Status(state="online", version="1.2.3", boot=BOOT),
        lambda: wire.Inventory(version="1.2.3"),
        asyncio.Event(),
        asyncio.Event(),
    )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
