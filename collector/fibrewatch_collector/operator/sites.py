"""`fibrewatch sites`: how each site stands, from a collector's API."""

import asyncio

from rich.console import Console

from fibrewatch_collector.operator import mesh_view, view
from fibrewatch_collector.operator.api import Agent, Site
from fibrewatch_collector.operator.door import Door, opened


def show(door: Door) -> int:
    """Prints the table; returns the exit status.

    Raises:
        ApiError: The collector does not answer.
    """
    console = _console()
    console.print(view.sites_table(asyncio.run(_sites(door)), plain=not console.is_terminal))
    return 0


def show_peer(door: Door, place: str) -> int:
    """Prints what is measured between a site, or a box, and others; returns the exit status, 1 if it is nothing.

    Raises:
        ApiError: The collector does not answer.
    """
    console = _console()
    table = mesh_view.pairs_table(asyncio.run(_agents(door)), place, plain=not console.is_terminal)
    console.print(table if table.rows else f"nothing is measured between {place} and others")
    return 0 if table.rows else 1


def _console() -> Console:
    """Of its own width on a terminal; in a pipe so wide that nothing is cut off."""
    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console.width = mesh_view.PIPE_WIDTH
    return console


async def _sites(door: Door) -> list[Site]:
    async with opened(door) as api:
        return await api.sites()


async def _agents(door: Door) -> list[Agent]:
    async with opened(door) as api:
        return await api.agents()
