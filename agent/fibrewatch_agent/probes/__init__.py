"""One file per probe: `async def NAME(params, box) -> Result`, NAME being the file's and the contract's name."""

import importlib
from collections.abc import Awaitable, Callable
from typing import Any

from fibrewatch_agent.box import Box

ProbeFunction = Callable[[Any, Box], Awaitable[Any]]


def probe_function(name: str) -> ProbeFunction:
    """The implementation of a probe; imported when first asked for, so that a box loads only what it runs.

    Raises:
        ModuleNotFoundError: The contract knows it, but this agent can't run it.
    """
    module = importlib.import_module(f"{__name__}.{name}")
    function: ProbeFunction = getattr(module, name)
    return function
