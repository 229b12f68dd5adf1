"""The responder: slots by its control API, supervised iperf3 servers that are open to all, and the STAMP reflector."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator

from msgspec import Struct

from fibrewatch.errors import ToolError
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.child import Child, child, find
from fibrewatch_agent.responder.backoff import STEADY_S, backoff_s
from fibrewatch_agent.responder.config import ControlConfig
from fibrewatch_agent.responder.keep import keep_reflector
from fibrewatch_agent.responder.reflector import ReflectorConfig
from fibrewatch_agent.responder.watch import StuckWatch, activity, listens
from fibrewatch_agent.transfer.iperf3 import TOOL, parse

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_LOOK_FOR_LISTENER_S, _COMES_UP_S = 0.05, 10.0
_VANISHED_MS = 15_000
_LAST_WORDS = 64 * 1024


class ResponderConfig(Struct, frozen=True, kw_only=True):
    """Where to serve; loopback unless told otherwise: everyone who reaches the ports can use up the line.

    Attributes:
        last_port: Of the servers that are open to all; none when it is below the first.
        reflector: None for no reflector.
        reflector_required: Its port was asked for: without it the responder ends.
        control: None for no slots.
    """

    host: str = "127.0.0.1"
    first_port: int = 5201
    last_port: int = 5204
    control: ControlConfig | None = None
    reflector: ReflectorConfig | None = None
    reflector_required: bool = False


async def serve(config: ResponderConfig, ready: Callable[[], None] = lambda: None) -> None:
    """Serves until cancelled or told to end by SIGTERM or SIGINT; no server is left behind, even after SIGKILL.

    Args:
        ready: Called once, when every port was tried and at least one is served.

    Raises:
        ToolError: iperf3 is not installed; what was asked for by the config can't start.
        ConfigError: Certificates or tokens can't be used.
    """
    find(TOOL)
    ports = range(config.first_port, config.last_port + 1)
    tried = _Tried(len(ports), ready)
    ending = asyncio.Event()
    with _told_to_end(ending):
        async with _control(config), asyncio.TaskGroup() as group:
            servers = [
                group.create_task(_Server(config.host, port, tried).keep(), name=f"{TOOL} server on port {port}")
                for port in ports
            ]
            if config.reflector is not None:
                reflector = keep_reflector(config.reflector, required=config.reflector_required)
                servers.append(group.create_task(reflector, name="reflector"))
            if not ports:
                ready()
            await ending.wait()
            for server in servers:
                server.cancel()
    log.info("responder ended")


@contextlib.asynccontextmanager
async def _control(config: ResponderConfig) -> AsyncIterator[None]:
    """The control API, where there is one; aiohttp is loaded only then."""
    if config.control is None:
        yield
        return
    from fibrewatch_agent.responder.control import control

    async with control(config.control):
        yield


@contextlib.contextmanager
def _told_to_end(ending: asyncio.Event) -> Iterator[None]:
    loop, signals = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, ending.set)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


class _Tried:
    """Counts the ports that were tried once, and says when that is enough."""

    def __init__(self, missing: int, ready: Callable[[], None]) -> None:
        self._missing, self._ready, self._served, self._told = missing, ready, False, False

    def note(self, *, first: bool, served: bool) -> None:
        """One port has come up or failed."""
        self._missing -= first
        self._served |= served
        if self._missing <= 0 and self._served and not self._told:
            self._told = True
            self._ready()


class _Server:
    """Keeps one port served."""

    def __init__(self, host: str, port: int, tried: _Tried) -> None:
        self._host, self._port, self._tried = host, port, tried
        self._first, self._failures, self._complained = True, 0, False

    async def keep(self) -> None:
        """Starts the server anew whenever it has ended."""
        while True:
            began = time.monotonic()
            try:
                await self._once()
            except (OSError, ToolError) as e:
                self._failed(str(e))
            if time.monotonic() - began >= STEADY_S:
                self._failures = 0
            delay_s = backoff_s(self._failures)
            self._failures += 1
            log.debug("restart port=%s delay_s=%.2f", self._port, delay_s)
            await asyncio.sleep(delay_s)

    async def _once(self) -> None:
        async with child(self._command(), keep=_LAST_WORDS, tail=True) as server:
            if await self._comes_up(server):
                await self._watch(server)
            elif server.transport.get_returncode() is None:
                self._failed(f"{TOOL} does not listen")
            else:
                self._failed(last_words(server))

    def _command(self) -> list[str]:
        """-J makes the server's own report one that clients can ask for.

        Both time-outs end a test whose client vanished: one while it sends, the other while it receives. They have been
        there since 3.10; --idle-timeout would only close and reopen an idle listener, and refuse who comes meanwhile.
        """
        return [
            *(TOOL, "-s", "-J", "-B", self._host, "-p", str(self._port)),
            *("--rcv-timeout", str(_VANISHED_MS), "--snd-timeout", str(_VANISHED_MS)),
        ]

    async def _comes_up(self, server: Child) -> bool:
        for _ in range(round(_COMES_UP_S / _LOOK_FOR_LISTENER_S)):
            if listens(server.transport.get_pid(), self._port):
                break
            if await server.ends_within(_LOOK_FOR_LISTENER_S):
                return False
        else:
            return False
        log.info("serving host=%s port=%s", self._host, self._port)
        self._complained = False
        self._note(served=True)
        return True

    async def _watch(self, server: Child) -> None:
        """Until it ends, or hangs and is killed by leaving."""
        watch = StuckWatch()
        while not await server.ends_within(_LOOK_EVERY_S):
            if watch.stuck(activity(server.transport.get_pid()), time.monotonic()):
                log.warning("server hangs with a client that is gone: restarted port=%s", self._port)
                return
        log.warning("server ended: restarted port=%s status=%s", self._port, server.transport.get_returncode())

    def _failed(self, problem: str) -> None:
        """A person must act, so said once; trying goes on."""
        log.log(
            logging.DEBUG if self._complained else logging.ERROR,
            "can't serve host=%s port=%s, still trying: %s",
            self._host,
            self._port,
            problem,
        )
        self._complained = True
        self._note(served=False)

    def _note(self, *, served: bool) -> None:
        self._tried.note(first=self._first, served=served)
        self._first = False


def last_words(server: Child) -> str:
    """Why a server ended: the error in its JSON, else what it wrote to standard error."""
    with contextlib.suppress(ProbeError):
        if error := parse(bytes(server.output)).error:
            return error
    lines = server.errors.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else f"exit status {server.transport.get_returncode()}"
