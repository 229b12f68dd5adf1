"""The radio helper itself: answers one request a connection, and puts everything back however that connection ends."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec

from fibrewatch.errors import ConfigError
from fibrewatch.sdnotify import Notifier
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net.sockets import probe_error
from fibrewatch_agent.radio_helper import radios
from fibrewatch_agent.radio_helper.config import HelperConfig, RadioConfig, load_helper, user_id
from fibrewatch_agent.radio_helper.messages import (
    MOST_REQUEST_BYTES,
    Answer,
    Monitor,
    Monitoring,
    Onboard,
    Onboarded,
    Refused,
    Request,
    Scan,
)
from fibrewatch_agent.radio_helper.monitor import monitor
from fibrewatch_agent.radio_helper.onboard import network, onboard, sweep
from fibrewatch_agent.radio_helper.scan import scan
from fibrewatch_agent.wifi.nl80211 import Interface

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 8
_REQUEST_S, _ANSWER_S = 5.0, 5.0
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid


class _GoneError(Exception):
    """Who asked is no longer there."""


async def serve(path: Path, notifier: Notifier) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        ConfigError: The file, or the socket that it names, can't be used.
    """
    config = load_helper(path)
    ending = asyncio.Event()
    with _told_to_end(ending):
        async with asyncio.TaskGroup() as group, Server(config, str(path), group).listening():
            log.info("radio helper ready socket=%s radios=%s", config.socket, ",".join(config.radios))
            notifier.ready(f"{len(config.radios)} radios, {len(config.networks)} networks")
            watchdog = group.create_task(notifier.feed_watchdog(ending), name="watchdog")
            await ending.wait()
            notifier.stopping()
            watchdog.cancel()
    log.info("radio helper ended")


class Server:
    """Connections and what is under way for them."""

    def __init__(self, config: HelperConfig, file: str, group: asyncio.TaskGroup) -> None:
        self._config, self._file, self._group = config, file, group
        self._allowed = {0, os.geteuid(), user_id(config, file)}
        self._radios = radios.Radios()
        self._serving = set[asyncio.Task[None]]()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """The socket; at the end what is under way is ended, and everything put back."""
        listener = _listener(self._config, self._file)
        sweep(Path(self._config.socket).parent)
        server = await asyncio.start_unix_server(self._accepted, sock=listener, limit=MOST_REQUEST_BYTES)
        try:
            yield
        finally:
            server.close()
            for each in self._serving:
                each.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            _remove(self._config.socket)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._group.create_task(self._serve(reader, writer), name="request")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(reader, writer)
            await _say(writer, answer)
        except (_GoneError, OSError) as e:
            log.debug("request ended error=%s", e or "who asked has gone")
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        """What came of a request, a refusal included; raises _GoneError."""
        what = "request"
        try:
            self._admit(writer)
            request = await _read(reader)
            what = type(request).__name__.lower()
            return await _while_wanted(reader, self._do(request, writer))
        except ProbeError as e:
            log.info("refused what=%s error=%s detail=%s", what, e.error, e.detail)
            return Refused(error=e.error, detail=e.detail[:400])
        except OSError as e:
            log.warning("failed what=%s error=%s", what, e)
            return Refused(error=probe_error(e), detail=f"{what}: {os.strerror(e.errno) if e.errno else e}"[:400])
        except _GoneError:
            raise
        except Exception:  # a fault of ours in one request must not end the others'
            log.exception("failed what=%s", what)
            return Refused(error="tool_failed", detail=f"{what}: a fault of the helper's, see its log")

    def _admit(self, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) > _MOST_CONNECTIONS:
            raise ProbeError("busy", f"{_MOST_CONNECTIONS} requests are under way")
        asking = writer.get_extra_info("socket")
        data = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, user, _ = _CREDENTIALS.unpack(data)
        if user not in self._allowed:
            log.warning("denied pid=%d user=%d", pid, user)
            raise ProbeError("permission", f"user {user} may not ask: {self._config.user} may")

    async def _do(self, request: Request, writer: asyncio.StreamWriter) -> Answer:
        name, permitted = self._permitted(request)
        async with self._radios.turn(name) as interface:
            match request:
                case Scan():
                    return await scan(request, interface)
                case Onboard():
                    return await self._onboard(request, interface)
                case Monitor():
                    async with monitor(request, interface, str(permitted.monitor)):
                        await _say(writer, Monitoring(interface=str(permitted.monitor)))
                        await asyncio.sleep(request.duration_s)
        raise ProbeError("timeout", f"{permitted.monitor} had its {request.duration_s:g} s")

    async def _onboard(self, request: Onboard, interface: Interface) -> Onboarded:
        folder = Path(self._config.socket).parent
        return await onboard(request, network(self._config, request), interface, folder, self._file)

    def _permitted(self, request: Request) -> tuple[str, RadioConfig]:
        """The radio that a request is about, by its interface's name.

        Raises:
            ProbeError: denied, the configuration does not say that it may.
        """
        what = type(request).__name__.lower()
        name = request.interface or self._only("onboard")
        found = self._config.radios.get(name)
        if found is None:
            raise ProbeError("denied", f"{name} is not in the helper's configuration")
        if isinstance(request, Onboard):
            network(self._config, request)
        if not getattr(found, what):
            raise ProbeError("denied", f"radios.{name}.{what} is not set in the helper's configuration")
        return name, found

    def _only(self, what: str) -> str:
        """Raises ProbeError: denied, there is none of that use, or several."""
        found = [name for name, radio in self._config.radios.items() if getattr(radio, what)]
        if len(found) != 1:
            raise ProbeError("denied", f"the helper's configuration has {len(found)} radios for {what}: name one")
        return found[0]


async def _read(reader: asyncio.StreamReader) -> Request:
    """The one line of a request.

    Raises:
        ProbeError: protocol; timeout.
        _GoneError: Closed without one.
    """
    try:
        async with asyncio.timeout(_REQUEST_S):
            line = await reader.readuntil(b"\n")
        request: Request = msgspec.json.decode(line, type=Request)
    except asyncio.IncompleteReadError as e:
        raise _GoneError from e
    except asyncio.LimitOverrunError as e:
        raise ProbeError("protocol", f"a request of more than {MOST_REQUEST_BYTES} bytes") from e
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise ProbeError("protocol", f"not a request: {_printable(str(e))}") from e
    except TimeoutError as e:
        raise ProbeError("timeout", f"no request within {_REQUEST_S:g} s") from e
    return request


def _printable(text: str) -> str:
    """What was asked is in it, and it goes to the log."""
    return "".join(each if each.isprintable() else "?" for each in text)


async def _while_wanted(reader: asyncio.StreamReader, work: Coroutine[Any, Any, Answer]) -> Answer:
    """Does it until it is done, or until whoever asked closes the connection, or says more."""
    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(_gone(reader), name="watch")
            doing = group.create_task(work, name="work")
            doing.add_done_callback(lambda _: watch.cancel())
        return doing.result()
    except BaseExceptionGroup as e:
        raise e.exceptions[0] from None


async def _gone(reader: asyncio.StreamReader) -> None:
    await reader.read(1)
    raise _GoneError


async def _say(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(msgspec.json.encode(answer) + b"\n")
    try:
        async with asyncio.timeout(_ANSWER_S):
            await writer.drain()
    except TimeoutError as e:
        raise _GoneError from e


def _listener(config: HelperConfig, file: str) -> socket.socket:
    """Raises ConfigError where it can't be had."""
    path = Path(config.socket)
    _make_way(path, file)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before, made = os.umask(0o177), path.with_name(f".{path.name}")
    try:
        made.unlink(missing_ok=True)
        listener.bind(str(made))
        listener.listen()
        with contextlib.suppress(PermissionError):  # as a user of its own the helper has the agent's group by its unit
            os.chown(made, -1, _group(config))
        made.chmod(0o660)
        made.rename(path)  # it is there from the moment on that it answers
    except OSError as e:
        listener.close()
        raise ConfigError(file, "socket", f"{path}: {e.strerror}") from e
    finally:
        os.umask(before)
    return listener


def _group(config: HelperConfig) -> int:
    import pwd

    return pwd.getpwnam(config.user).pw_gid


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _make_way(path: Path, file: str) -> None:
    """Removes a socket that nobody listens on any more."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trying:
        trying.settimeout(1)
        try:
            trying.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except OSError as e:
            raise ConfigError(file, "socket", f"{path}: {e.strerror or e}") from e
        else:
            raise ConfigError(file, "socket", f"{path}: another radio helper listens there")


@contextlib.contextmanager
def _told_to_end(ending: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
