"""Shuts a box out at once: the collector's ear, the broker's list, and the connection that it has now."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from fibrewatch.command import one_line
from fibrewatch.errors import ToolError
from fibrewatch.files import Content, write_together
from fibrewatch.wire import AgentId
from fibrewatch_collector.config import Broker, Tls
from fibrewatch_collector.identity.authority import CERTIFICATE, REVOKED, Authority
from fibrewatch_collector.identity.settings import Settings
from fibrewatch_collector.mqtt import LinkError, connect

_RELOAD_S = 30.0
_SETTLE_S = 1.0
_KICKS = 2
"""The second meets a box that came back before the broker had read its new list."""


def revoke(authority: Authority, settings: Settings, agent: AgentId, reason: str) -> Iterator[str]:
    """Does it, step by step; each line says what is done.

    Raises:
        IdentityError: The box never had a certificate.
        ToolError: The broker would not read its list, or a responder could not be told; what was said before is done.
    """
    count = authority.revoke(agent, reason)
    yield f"{agent}: {count} certificates revoked, {authority.folder / REVOKED} is new; the collector hears it no more"
    if settings.reload:
        reload(settings.reload)
        yield f"the broker reads its list again ({' '.join(settings.reload)})"
    for _ in range(_KICKS):
        problem = asyncio.run(_kick(authority, settings, agent))
    yield f"its connection is closed{f' (not: {problem})' if problem else ''}"
    yield from _told(settings, agent)


def _told(settings: Settings, agent: AgentId) -> Iterator[str]:
    """All responders are told, also when one can't be: that one is what the error is of."""
    failed: list[str] = []
    for number, command in enumerate(settings.responders):
        try:
            yield _run((*command, str(agent)), f"responders[{number}]") or f"{' '.join(command)}: done"
        except ToolError as e:
            failed.append(str(e))
    if failed:
        raise ToolError("; ".join(failed))


def reload(command: tuple[str, ...]) -> None:
    """Runs the operator's command.

    Raises:
        ToolError: It failed.
    """
    _run(command, "reload")


def _run(command: tuple[str, ...], place: str) -> str:
    """What it printed, as one line."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=_RELOAD_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise ToolError(f"authority.toml: {place}: {e}") from e
    if done.returncode:
        said = one_line(done.stderr.decode(errors="replace"))[:200]
        raise ToolError(f"authority.toml: {place}: status {done.returncode}: {said}")
    return one_line(done.stdout.decode(errors="replace"))[:200]


async def _kick(authority: Authority, settings: Settings, agent: AgentId) -> str | None:
    """Comes to the broker as the box, which ends the box's own connection (MQTT 3.1.1 §3.1.4); why not, if so."""
    await asyncio.sleep(_SETTLE_S)
    with TemporaryDirectory(prefix="fibrewatch-") as folder:
        path = Path(folder) / "box.pem"
        certificate, key = authority.takeover(agent)
        write_together({path: Content(certificate.encode() + key, 0o600)})
        tls = Tls(ca=authority.folder / CERTIFICATE, certificate=path, key=path)
        broker = Broker(host=settings.broker.host, port=settings.broker.port, tls=tls)
        try:
            connection = await connect(broker, on_message=lambda topic, payload: None)
        except LinkError as e:
            return str(e)
        await connection.close()
        return None
