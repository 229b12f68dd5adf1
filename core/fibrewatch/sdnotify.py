"""systemd's notification protocol, sd_notify(3): datagrams to the socket that the service manager names."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Tells the service manager how the service is; says nothing where there is none.

    Attributes:
        watchdog_s: The manager ends a service that is silent for so long; None where it does not watch.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        self.watchdog_s = watchdog_s

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Notifier":
        """From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, as sd_watchdog_enabled(3) reads them."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog_s = int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) and meant else None
        return cls(environment.get("NOTIFY_SOCKET") or None, watchdog_s)

    def send(self, *lines: str) -> None:
        """Sends one notification; a manager that can't be reached must not stop the work."""
        if self._address is None:
            return
        path = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
                s.setblocking(False)
                s.connect(path)
                s.send("\n".join(lines).encode())
        except OSError as e:
            log.debug("no notification lines=%s error=%s", lines, e)

    def ready(self, status: str) -> None:
        """It serves (also after a reload)."""
        self.send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload has begun; Type=notify-reload wants the time of it."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """It closes what is open and flushes."""
        self.send("STOPPING=1")

    async def feed_watchdog(self, stopping: asyncio.Event) -> None:
        """Sends WATCHDOG=1 twice per period from the loop that does the work, so that a loop that hangs is ended."""
        while self.watchdog_s is not None and not stopping.is_set():
            self.send("WATCHDOG=1")
            try:
                async with asyncio.timeout(self.watchdog_s / 2):
                    await stopping.wait()
            except TimeoutError:
                continue
