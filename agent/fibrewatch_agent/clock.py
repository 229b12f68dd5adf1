"""What the box knows of the time: the kernel's word on its clock, the boot clock, and when undated results get a date.

A box without a clock chip boots in the past. Until its clock is good, measurements carry the boot clock only; once it
is good, all of the same boot are dated from `UTC at boottime 0`.
"""

import asyncio
import ctypes
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from fibrewatch_agent.config import ClockConfig

log = logging.getLogger(__name__)

POLL_S = 1.0
RELEASE_S = 10.0
STEP_S = 0.5
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_ERROR = 5  # adjtimex(2)'s return value: the clock is not synchronised
_STA_UNSYNC = 0x0040  # linux/timex.h


class ClockState(Struct, frozen=True, kw_only=True):
    """The kernel's word on its clock; the bound in seconds, None while unsynchronised."""

    synchronised: bool
    offset_bound_s: float | None = None


class _Timex(ctypes.Structure):
    """struct timex as the C library has it; only `status` and `maxerror` are read, the padding is for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


def kernel_clock() -> ClockState:
    """Asks adjtimex(2) without changing anything; a kernel that refuses the call counts as unsynchronised."""
    timex = _Timex(modes=0)
    state = _libc.adjtimex(ctypes.byref(timex))
    if state < 0 or state == _TIME_ERROR or timex.status & _STA_UNSYNC:
        return ClockState(synchronised=False)
    return ClockState(synchronised=True, offset_bound_s=timex.maxerror / 1e6)


_libc = ctypes.CDLL(None, use_errno=True)


def boottime() -> float:
    """Seconds since the boot, time asleep included; never stepped."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id(path: Path = BOOT_ID) -> str:
    """The first eight hexadecimal digits of the kernel's boot id."""
    return path.read_text("ascii")[:8]


class Dating(Protocol):
    """The part of the spool that the clock decides about."""

    async def redate(self, boot_epoch: float) -> None:
        """Dates what is undated; UTC seconds at boottime 0."""

    async def release_undated(self) -> None:
        """Sends what is undated as "undated"."""


class ClockWatch:
    """Decides whether measurements are dated, and dates the earlier ones once they can be.

    A clock that was good once in this boot stays good: it runs free within 500 ppm, while the kernel calls it
    unsynchronised after some hours without a server, in just the outage that must be dated. `marker` keeps that
    across restarts of the agent.

    Attributes:
        good: Measurements that start now have a time of day that can be trusted.
    """

    def __init__(
        self,
        config: ClockConfig,
        marker: Path,
        boot: str,
        *,
        read: Callable[[], ClockState] = kernel_clock,
        utc: Callable[[], float] = time.time,
        since_boot: Callable[[], float] = boottime,
    ) -> None:
        self.config = config
        self._marker, self._boot = marker, boot
        self._read, self._utc, self._since_boot = read, utc, since_boot
        self.good = config.trusted or self._marked() or read().synchronised
        self._started = since_boot()
        self._boot_epoch = utc() - since_boot()

    async def run(self, spool: Dating, stopping: asyncio.Event) -> None:
        """Watches until `stopping`."""
        if self.good:
            await self._became_good(spool)
        released = -RELEASE_S
        while not await _nap(stopping, POLL_S):
            self._note_step()
            if not self.good and (self.config.trusted or self._read().synchronised):
                await self._became_good(spool)
            now = self._since_boot()
            if not self.good and now - self._started >= self.config.hold_s and now - released >= RELEASE_S:
                released = now
                await spool.release_undated()

    def date(self, boottime_s: float) -> datetime:
        """The time of day of a moment of this boot, by the wall clock as it was last looked at."""
        return datetime.fromtimestamp(self._boot_epoch + boottime_s, UTC)

    async def _became_good(self, spool: Dating) -> None:
        self.good = True
        self._boot_epoch = self._utc() - self._since_boot()
        log.info("clock is good boot=%s boot_epoch=%.3f", self._boot, self._boot_epoch)
        self._mark()
        await spool.redate(self._boot_epoch)

    def _note_step(self) -> None:
        """A step moves UTC against the boot clock; slewing stays far below STEP_S between two looks."""
        epoch = self._utc() - self._since_boot()
        if abs(epoch - self._boot_epoch) > STEP_S and self.good:
            log.warning("the wall clock was stepped seconds=%.3f", epoch - self._boot_epoch)
        self._boot_epoch = epoch

    def _marked(self) -> bool:
        try:
            return self._marker.read_text("ascii") == self._boot
        except (OSError, UnicodeDecodeError):
            return False

    def _mark(self) -> None:
        try:
            self._marker.write_text(self._boot, "ascii")
        except OSError as e:
            log.warning("can't note that the clock is good file=%s error=%s", self._marker, os.strerror(e.errno or 0))


async def _nap(stopping: asyncio.Event, seconds: float) -> bool:
    """True as soon as `stopping` is set, False after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return False
    return True
