"""The agent as a process: ties scheduler, spool, uplink and clock together, and the only TaskGroup they run in."""

import asyncio
import errno
import logging
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from fibrewatch import __version__, wire
from fibrewatch.errors import ConfigError
from fibrewatch.measurement import AnyMeasurement, Conditions
from fibrewatch.sdnotify import Notifier
from fibrewatch_agent import memory, own_certificate
from fibrewatch_agent.clock import ClockWatch, boot_id
from fibrewatch_agent.conditions import Observer, between
from fibrewatch_agent.config import AgentConfig, load_config
from fibrewatch_agent.line.keeper import LineKeeper
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.net.interfaces import inventory
from fibrewatch_agent.runner import LostTargets, Runner
from fibrewatch_agent.scheduler import Scheduler
from fibrewatch_agent.spool import Spool
from fibrewatch_agent.transfer.heavy import Heavy
from fibrewatch_agent.uplink import run_uplink

if TYPE_CHECKING:
    from fibrewatch_agent.identity.renewal import Renewal

log = logging.getLogger(__name__)

_SETTLED_S = 5.0
"""After so long all modules are loaded and the first connection is made."""


class App:
    """One run of the agent, from the config to the last flush."""

    def __init__(self, path: Path, notifier: Notifier) -> None:
        """Reads the config and opens the spool.

        Raises:
            ConfigError: The file is bad, or the state folder can't be used.
        """
        memory.use_one_arena()
        self._path, self._notifier = path, notifier
        self._config = load_config(path)
        self._boot, self._started_at = boot_id(), datetime.now(UTC)
        state_dir = _state_dir(path, self._config)
        limits = self._config.spool
        self._spool = Spool.open(
            state_dir / "spool.sqlite",
            max_bytes=limits.max_bytes,
            max_age_s=limits.max_age_s,
            sync_s=limits.sync_s,
            boot=self._boot,
        )
        self._watch = ClockWatch(self._config.clock, state_dir / "clock-good", self._boot)
        self._stopping, self._uplink_stop, self._status_changed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._tests_ended = False
        self._spool_told = self._spool.state().state
        self._config_error: str | None = None
        self._observer, self._icmp = Observer(), IcmpSockets()
        self._seen = self._observer.snapshot()
        self._lost = LostTargets(self._status_changed)
        self._budget_news = asyncio.Event()
        self._heavy = Heavy(folder=state_dir, tell=self._budget_news.set)
        self._heavy.adopt(self._config)
        self._runner = Runner(
            agent=str(self._config.agent),
            boot=self._boot,
            icmp=self._icmp,
            observer=self._observer,
            store=self._store,
            clock_good=lambda: self._watch.good,
            lost=self._lost,
            heavy=self._heavy,
        )
        self._scheduler = Scheduler(self._runner, str(self._config.agent))
        self._keeper = LineKeeper(self._heavy, self._runner, self._scheduler.alone, lambda: self._config)

    async def run(self) -> None:
        """Measures until SIGTERM or SIGINT, then closes what runs, flushes and returns."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._run_tests(), name="scheduler")
                tasks.create_task(self._run_uplink(), name="uplink")
                tasks.create_task(self._watch.run(self._spool, self._stopping), name="clock")
                tasks.create_task(self._keeper.run(self._stopping, self._budget_news), name="lines")
                tasks.create_task(self._notifier.feed_watchdog(self._stopping), name="watchdog")
                log.info("running agent=%s tests=%d version=%s", self._config.agent, self._tests, __version__)
                self._notifier.ready(f"{self._tests} tests")
                loop.call_later(_SETTLED_S, memory.give_back)
        finally:
            self._icmp.close()
            await self._spool.close()
        log.info("stopped agent=%s", self._config.agent)

    def stop(self) -> None:
        """Ends the agent: no new runs, windows close, then the uplink flushes."""
        if not self._stopping.is_set():
            log.info("stopping")
            self._notifier.stopping()
            self._stopping.set()
            self._runner.hurry()

    def reload(self) -> None:
        """Takes the config file anew; a bad one is reported and the old one stays in force."""
        if self._stopping.is_set():
            return
        self._notifier.reloading()
        try:
            fresh = load_config(self._path)
            _check_unchanged(self._path, self._config, fresh)
        except ConfigError as e:
            log.error("reload refused, the old configuration stays in force: %s", e)  # noqa: TRY400
            self._config_error = str(e)[:500]
        else:
            self._adopt(fresh)
        self._status_changed.set()
        self._notifier.ready(f"{self._tests} tests")

    def _adopt(self, fresh: AgentConfig) -> None:
        before, self._config, self._config_error = self._config, fresh, None
        self._watch.config = fresh.clock
        self._heavy.adopt(fresh)
        self._scheduler.apply(fresh.plans)
        if fresh.broker != before.broker:
            self._uplink_stop.set()  # it starts again with the new settings
        log.info("reloaded tests=%d", self._tests)

    @property
    def _tests(self) -> int:
        return len(self._config.plans)

    async def _run_tests(self) -> None:
        await self._scheduler.run(self._config.plans, self._stopping)
        self._tests_ended = True
        self._uplink_stop.set()

    async def _run_uplink(self) -> None:
        """Runs the uplink, again after a reload, until the tests have ended; its own end flushes."""
        while True:
            await run_uplink(
                self._config.broker,
                self._config.agent,
                self._spool,
                self._status,
                lambda: inventory(self._config.plans),
                self._status_changed,
                self._uplink_stop,
                renewal=self._renewal(),
            )
            if self._tests_ended:
                return
            self._uplink_stop = asyncio.Event()

    def _renewal(self) -> "Renewal | None":
        if (tls := self._config.broker.tls) is None:
            return None
        from fibrewatch_agent.identity.renewal import Renewal

        return Renewal(self._config.agent, tls)

    async def _store(self, measurement: AnyMeasurement, *, dated: bool) -> None:
        """What began before the clock was good, and ends after it, is dated here."""
        if not dated and self._watch.good:
            measurement = replace(measurement, started_at=self._watch.date(measurement.boottime_s))
        await self._spool.append(measurement, dated=dated or self._watch.good)
        if self._spool.state().state != self._spool_told:
            self._status_changed.set()

    def _status(self) -> wire.Status:
        spool = self._spool.state()
        self._spool_told = spool.state
        return wire.Status(
            state="online",
            version=__version__,
            boot=self._boot,
            at=datetime.fromtimestamp(time.time(), UTC),
            started_at=self._started_at,
            conditions=self._conditions(),
            spool=spool,
            lost_targets=self._lost.names(),
            lost_tests=self._lost.tests(),
            certificate_until=own_certificate.expiry(self._config.broker.tls),
            config_error=self._config_error,
        )

    def _conditions(self) -> Conditions:
        """The box's state since the last status."""
        before, self._seen = self._seen, self._observer.snapshot()
        return between(before, self._seen)


def _state_dir(path: Path, config: AgentConfig) -> Path:
    """The state folder, made if it is not there."""
    try:
        config.state_dir.mkdir(parents=True, exist_ok=True)
        _check_writable(config.state_dir)
    except OSError as e:
        raise ConfigError(str(path), "agent.state_dir", f"{config.state_dir}: {e.strerror}") from e
    return config.state_dir


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        read_only = os.statvfs(folder).f_flag & os.ST_RDONLY  # a dying card, mostly
        number = errno.EROFS if read_only else errno.EACCES
        raise OSError(number, os.strerror(number))


def _check_unchanged(path: Path, before: AgentConfig, fresh: AgentConfig) -> None:
    """What the open spool and the connection are bound to can't change while they are open."""
    for place in ("agent", "state_dir", "spool"):
        if getattr(before, place) != getattr(fresh, place):
            where = "agent.state_dir" if place == "state_dir" else place
            raise ConfigError(str(path), where, "it changes with a restart only")
