"""What one onboarding has found so far, and the phase that it failed in."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

from fibrewatch.results.wifi_onboarding import PHASES, Phase, Result
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net.sockets import probe_error

_IN_ALL = ("join", "dhcp", "slaac", "gateway", "dns", "portal")


class Way:
    """Gathers the fields of the Result."""

    def __init__(self, **figures: Any) -> None:
        self._figures = figures

    def note(self, **figures: Any) -> None:
        """Adds fields of the Result; a later value replaces an earlier one."""
        self._figures |= figures

    def end(self, *, apart: bool) -> None:
        """All phases were passed; `apart`: the first byte was another request's than the portal's test."""
        names = (*_IN_ALL, "first_byte") if apart else _IN_ALL
        self.note(total=sum(self._figures.get(name) or 0.0 for name in names))

    def fail(self, phase: Phase) -> None:
        """Names the phase that failed; the first one stands."""
        self._figures.setdefault("failed_phase", phase)

    @contextlib.asynccontextmanager
    async def phase(self, phase: Phase, limit_s: float) -> AsyncIterator[None]:
        """One phase with its deadline.

        Raises:
            ProbeError: For whatever ended it; the phase is noted.
        """
        try:
            async with asyncio.timeout(limit_s):
                yield
        except ProbeError as e:
            self.fail(phase)
            raise ProbeError(e.error, f"{phase.replace('_', ' ')}: {e.detail}") from e
        except TimeoutError as e:
            self.fail(phase)
            raise ProbeError("timeout", f"{phase.replace('_', ' ')}: no end within {limit_s:g} s") from e
        except OSError as e:
            self.fail(phase)
            why = os.strerror(e.errno) if e.errno else str(e)
            raise ProbeError(probe_error(e), f"{phase.replace('_', ' ')}: {why}") from e

    def result(self) -> Result:
        """The Result of what was noted."""
        passed = sum(self._figures.get(phase) is not None for phase in (*PHASES, "slaac"))
        return Result(**self._figures, phases_passed=passed)
