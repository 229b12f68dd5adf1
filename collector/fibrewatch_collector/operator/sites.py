"""`fibrewatch sites`: how each site stands, from a collector's API."""

import asyncio

import aiohttp
from rich.console import Console

from fibrewatch_collector.operator import mesh_view, view
from fibrewatch_collector.operator.api import Agent, Api, Site


def show(url: str) -> int:
    """Prints the table; returns the exit status.

    Raises:
        ApiError: The collector does not answer.
    """
    console = _console()
    console.print(view.sites_table(asyncio.run(_sites(url)), plain=not console.is_terminal))
    return 0


def show_peer(url: str, place: str) -> int:
    """Prints what is measured between a site, or a box, and others; returns the exit status, 1 if it is nothing.

    Raises:
        ApiError: The collector does not answer.
    """
    console = _console()
    table = mesh_view.pairs_table(asyncio.run(_agents(url)), place, plain=not console.is_terminal)
    console.print(table if table.rows else f"nothing is measured between {place} and others")
    return 0 if table.rows else 1


def _console() -> Console:
    """Of its own width on a terminal; in a pipe so wide that nothing is cut off."""
    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console.width = mesh_view.PIPE_WIDTH
    return console


async def _sites(url: str) -> list[Site]:
    async with aiohttp.ClientSession() as session:
        return await Api(url, session).sites()


async def _agents(url: str) -> list[Agent]:
    async with aiohttp.ClientSession() as session:
        return await Api(url, session).agents()
