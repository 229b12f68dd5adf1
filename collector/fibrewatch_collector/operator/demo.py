"""`fibrewatch demo`: broker, responder, collector and one agent on loopback, measuring for real until told to stop."""

import asyncio
import shutil
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import aiohttp
from rich.console import Console
from rich.live import Live

from fibrewatch.errors import FibrewatchError
from fibrewatch_collector.operator import files, observe, view
from fibrewatch_collector.operator.api import Api, ApiError
from fibrewatch_collector.operator.children import ChildEndedError, Family
from fibrewatch_collector.operator.folder import own_folder
from fibrewatch_collector.operator.ports import can_listen, free_ports, listens

START_TIMEOUT_S = 60.0
LOOK_EVERY_S = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """As on the command line; `for_s` None means until Ctrl-C."""

    for_s: float | None = None
    targets: tuple[str, ...] = ()
    port: int = 8480


class DemoError(FibrewatchError):
    """The demo can't start, or did not show what it shall."""


class _StoppedError(DemoError):
    """A signal asked for the end."""


def demo(options: Options) -> int:
    """Runs the demo; returns its exit status."""
    try:
        _check_fitness()
        return asyncio.run(_run(options))
    except ChildEndedError as e:
        print("\n".join([*e.last_lines, f"fibrewatch demo: {e}"]), file=sys.stderr)
    except FibrewatchError as e:
        print(f"fibrewatch demo: {e}", file=sys.stderr)
    return 1


def _check_fitness() -> None:
    """Says why a demo can't measure here, and what to type to mend it."""
    if shutil.which("iperf3") is None:
        raise DemoError("iperf3 is missing: sudo apt-get install iperf3")
    if not any(_may_ping(kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW)):
        raise DemoError('ping is refused to this user: sudo sysctl net.ipv4.ping_group_range="0 2147483647"')


def _may_ping(kind: socket.SocketKind) -> bool:
    try:
        socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
    except OSError:
        return False
    return True


async def _run(options: Options) -> int:
    """Whatever happens, no process and no file is left behind."""
    with own_folder("fibrewatch-demo-") as folder, _signals() as stopped:
        family = Family(folder)
        try:
            async with aiohttp.ClientSession() as session:
                return await _Demo(options, family, stopped, session).run()
        except _StoppedError:
            if options.for_s is not None:
                raise
            return 0
        finally:
            await family.stop()


@contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set; a second one changes nothing, the end is under way."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for each in SIGNALS:
        loop.add_signal_handler(each, stopped.set)
    try:
        yield stopped
    finally:
        for each in SIGNALS:
            loop.remove_signal_handler(each)


class _Demo:
    """One run: starts everything, shows what comes, and checks at the end that it came."""

    def __init__(
        self, options: Options, family: Family, stopped: asyncio.Event, session: aiohttp.ClientSession
    ) -> None:
        self.options, self.family, self.stopped, self.session = options, family, stopped, session
        self.console = Console(highlight=False)

    async def run(self) -> int:
        """Returns the exit status; raises FibrewatchError with the reason when something is wrong."""
        ports = self._ports()
        self.page = f"http://127.0.0.1:{ports.http}/"
        api = Api(self.page, self.session)
        await self._start(ports, api)
        await self._show(api)
        missing = await observe.missing(api)
        if missing:
            raise DemoError(f"after {self.options.for_s:g} s: {'; '.join(missing)}")
        self.console.print(f"ok: {await observe.summary(api)}")
        return 0

    def _ports(self) -> files.Ports:
        http = self.options.port
        broker, first, last, spare = free_ports(4)
        if not can_listen(http):
            self.console.print(f"port {http} is taken: the page is on {spare}")
            http = spare
        return files.Ports(broker=broker, http=http, responder=(first, last))

    async def _start(self, ports: files.Ports, api: Api) -> None:
        """In the order in which each needs the one before."""
        folder = self.family.folder
        targets = files.demo_targets(self.options.targets, ipv6=can_listen(0, "::1"))
        (folder / "agent.toml").write_text(files.agent_toml(ports, targets, folder / "agent"), "utf-8")
        (folder / "collector.toml").write_text(files.collector_toml(ports.broker, ports.http), "utf-8")
        (folder / "sites.toml").write_text(files.sites_toml([files.DEMO_AGENT]), "utf-8")
        start = self.family.start
        await start("broker", "-m", "fibrewatch_collector.operator.broker", str(ports.broker))
        await self._until("the broker listens", _answers(ports.broker))
        first, last = ports.responder
        await start("responder", *_AGENT, "responder", "--bind", "127.0.0.1", "--ports", f"{first}-{last}")
        await start("collector", "-m", "fibrewatch_collector", "run", "--config", "collector.toml")
        await self._until("the collector is ready", lambda: _ready(api))
        await start("agent", *_AGENT, "run", "--config", "agent.toml")
        self.console.print(f"measuring; page {self.page}")

    async def _until(self, what: str, true: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not await true():
            if time.monotonic() > deadline:
                raise DemoError(f"waited {START_TIMEOUT_S:g} s until {what}")
            await self._pause(0.1)

    async def _show(self, api: Api) -> None:
        """The live view, until the time is over."""
        end = None if self.options.for_s is None else time.monotonic() + self.options.for_s
        before: dict[str, str] = {}
        in_place = self.console.is_terminal and not self.console.is_dumb_terminal
        with Live(console=self.console, auto_refresh=False) if in_place else nullcontext() as live:
            while (left := LOOK_EVERY_S if end is None else end - time.monotonic()) > 0:
                await self._pause(min(LOOK_EVERY_S, left))
                try:
                    overview = view.Overview(sites=await api.sites(), agents=await api.agents())
                except ApiError:
                    continue  # it may be busy; whether it is gone the next pause tells
                if live is not None:
                    live.update(view.tables(overview, self.page, self.console.width), refresh=True)
                for line in view.lines(overview, before) if live is None else ():
                    self.console.print(line, markup=False, soft_wrap=True)

    async def _pause(self, seconds: float) -> None:
        """Waits.

        Raises:
            ChildEndedError: A process has ended by itself.
            _StoppedError: A signal came.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.stopped.wait()
        except TimeoutError:
            self.family.check()
        else:
            raise _StoppedError("interrupted")


_AGENT = ("-m", "fibrewatch_agent")


def _answers(port: int) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return await listens(port)

    return ask


async def _ready(api: Api) -> bool:
    try:
        await api.text("/readyz")
    except ApiError:
        return False
    return True
