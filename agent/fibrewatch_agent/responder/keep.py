"""Keeps the reflector's process running beside the throughput servers."""

import asyncio
import logging
import sys
import time

import msgspec

from fibrewatch.errors import ToolError
from fibrewatch_agent.child import Child, child
from fibrewatch_agent.responder.backoff import STEADY_S, backoff_s
from fibrewatch_agent.responder.reflector import READY, ReflectorConfig

log = logging.getLogger(__name__)

_LOOK_EVERY_S, _COMES_UP_S = 0.02, 20.0
_WORDS = 4096


async def keep_reflector(config: ReflectorConfig, *, required: bool) -> None:
    """Starts it anew whenever it has ended.

    Args:
        required: Without it there is no use in going on: when it can't start the first time, that ends the responder.

    Raises:
        ToolError: As said under `required`.
    """
    failures, complained = 0, False
    while True:
        began = time.monotonic()
        problem = await _once(config)
        if required and failures == 0 and problem:
            raise ToolError(f"no STAMP reflector on {_where(config)}: {problem}")
        if problem:
            level = logging.DEBUG if complained else logging.WARNING
            log.log(level, "no STAMP reflector on %s: %s (another port: --reflector-port)", _where(config), problem)
            complained = True
        failures = 0 if time.monotonic() - began >= STEADY_S else failures + 1
        required = False
        await asyncio.sleep(backoff_s(failures))


async def _once(config: ReflectorConfig) -> str:
    """Until it has ended; why it never answered, empty if it did."""
    async with child(command(config), keep=_WORDS, own_errors=True) as reflector:
        try:
            if not await _comes_up(reflector):
                return reflector.output.decode(errors="replace").strip() or "it does not start"
            log.info("reflecting on %s", _where(config))
            status = await reflector.wait()
            log.warning("reflector ended: restarted status=%s", status)
        finally:
            await reflector.stop()
    return ""


async def _comes_up(reflector: Child) -> bool:
    for _ in range(round(_COMES_UP_S / _LOOK_EVERY_S)):
        if READY in reflector.output:
            return True
        if await reflector.ends_within(_LOOK_EVERY_S):
            return False
    return False


def command(config: ReflectorConfig) -> list[str]:
    """The command line of its process, which finds our modules wherever they were installed."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from fibrewatch_agent.responder.reflector import main; main()"
    return [sys.executable, "-IS", "-c", code, msgspec.json.encode(config).decode()]


def _where(config: ReflectorConfig) -> str:
    return f"{', '.join(config.hosts)} port {config.port}"
