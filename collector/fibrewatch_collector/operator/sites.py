"""`fibrewatch sites`: how each site stands, from a collector's API."""

import asyncio

import aiohttp
from rich.console import Console

from fibrewatch_collector.operator import view
from fibrewatch_collector.operator.api import Api, Site


def show(url: str) -> int:
    """Prints the table; returns the exit status.

    Raises:
        ApiError: The collector does not answer.
    """
    console = Console(soft_wrap=False)
    console.print(view.sites_table(asyncio.run(_sites(url)), plain=not console.is_terminal))
    return 0


async def _sites(url: str) -> list[Site]:
    async with aiohttp.ClientSession() as session:
        return await Api(url, session).sites()
