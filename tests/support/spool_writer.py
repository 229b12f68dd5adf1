"""A process that appends to the spool in the folder it is given, and says each number once it is kept."""

import asyncio
import sys
from pathlib import Path

from tests.support.spooled import measurement, open_spool


async def append_for_ever(folder: Path) -> None:
    """Four at a time, so that commits are shared, until it is killed."""
    spool = open_spool(folder)
    print(spool.stream, flush=True)
    index = 0
    while True:
        numbers = await asyncio.gather(*(spool.append(measurement(index + i, size=300), dated=True) for i in range(4)))
        index += 4
        print(*numbers, flush=True)


if __name__ == "__main__":
    asyncio.run(append_for_ever(Path(sys.argv[1])))
