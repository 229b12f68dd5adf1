"""The responder as its file says it: served, checked, or given a new box's token."""

import asyncio
from pathlib import Path

from fibrewatch.errors import ConfigError
from fibrewatch.sdnotify import Notifier
from fibrewatch_agent.responder.config import OpenConfig, ReflectorSection, ResponderFile, load_responder
from fibrewatch_agent.responder.identity import Tokens, issue, withdraw
from fibrewatch_agent.responder.reflector import ReflectorConfig, checked
from fibrewatch_agent.responder.server import ResponderConfig, serve

_NONE = OpenConfig(ports=(2, 1))


async def serve_file(path: Path, notifier: Notifier) -> None:
    """Serves what the file says.

    Raises:
        ConfigError, ToolError: As `load_responder` and `server.serve`.
    """
    file = load_responder(path)
    async with asyncio.TaskGroup() as group:
        watchdog = group.create_task(notifier.feed_watchdog(asyncio.Event()), name="watchdog")
        await serve(_config(file), lambda: notifier.ready(f"serves {path}"))
        notifier.stopping()
        watchdog.cancel()


def _config(file: ResponderFile) -> ResponderConfig:
    open_ = file.open or _NONE
    return ResponderConfig(
        host=open_.listen,
        first_port=open_.ports[0],
        last_port=open_.ports[1],
        reflector=_reflector(file.reflector) if file.reflector else None,
        reflector_required=file.reflector is not None,
        control=file.control,
    )


def _reflector(section: ReflectorSection) -> ReflectorConfig:
    return checked(
        ReflectorConfig(
            hosts=("::", "0.0.0.0") if section.listen == "::" else (section.listen,),  # noqa: S104 - as asked
            port=section.port,
            rate=section.rate,
            burst=section.rate,
            allow=section.allow,
            allow_file=str(section.allow_file.absolute()) if section.allow_file else None,
            whole=section.whole,
            key_file=str(section.key_file.absolute()) if section.key_file else None,
        )
    )


def check(path: Path) -> str:
    """Reads the file and all that it names; what is in it, for people.

    Raises:
        ConfigError: What is wrong.
    """
    file = load_responder(path)
    _config(file)
    parts = [f"{path}: ok"]
    if (control := file.control) is not None:
        from fibrewatch_agent.responder.door import server_context

        boxes = len(Tokens(control.tokens)) if control.tokens else 0
        if control.tls is not None:
            server_context(control.tls)
        by = "certificates or tokens" if control.tls and control.tls.ca else "tokens"
        parts.append(
            f"slots on {control.listen} port {control.port}, {control.capacity * 8 / 1e6:g} Mbit/s, "
            f"boxes known by {by} ({boxes} tokens)"
        )
    if file.open is not None:
        parts.append(f"iperf3 for everyone on {file.open.listen} ports {file.open.ports[0]}–{file.open.ports[1]}")
    if file.reflector is not None:
        parts.append(f"reflector on {file.reflector.listen} port {file.reflector.port}")
    return "; ".join(parts)


def new_token(path: Path, box: str) -> str:
    """A new token for a box; any earlier one of it is void at once.

    Raises:
        ConfigError: The file names no tokens, or as `identity.issue`.
    """
    return issue(_tokens(path), box)


def revoke_token(path: Path, box: str) -> str:
    """Takes a box's token back, at once; what was done.

    Raises:
        ConfigError: The file names no tokens, or as `identity.withdraw`.
    """
    tokens = _tokens(path)
    return f"{tokens}: {box}: its token is void" if withdraw(tokens, box) else f"{tokens}: {box} had no token"


def _tokens(path: Path) -> Path:
    file = load_responder(path)
    if file.control is None or file.control.tokens is None:
        raise ConfigError(str(path), "control.tokens", "missing: where the tokens' hashes are kept")
    return file.control.tokens
