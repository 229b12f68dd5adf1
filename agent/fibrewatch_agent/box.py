"""What a probe gets from its caller: the target, the window, the box's services; deadline and outcome stay outside."""

import asyncio
import contextlib
import ipaddress
import math
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fibrewatch.measurement import Error, Target, Verdict
from fibrewatch_agent.line import landmarks
from fibrewatch_agent.net import resolver
from fibrewatch_agent.tables import Control

if TYPE_CHECKING:
    from fibrewatch_agent.net.icmp import IcmpSockets
    from fibrewatch_agent.transfer.turn import Turn

RESOLVE_TIMEOUT_S = 5.0
_SEVERITY: dict[Verdict, int] = {"valid": 0, "censored": 1, "invalid": 2}


class ProbeError(Exception):
    """A measurement that failed in a way of the fixed list.

    Attributes:
        error: One of `fibrewatch.measurement.ERRORS`.
        detail: One line for people.
        result: What was measured before it failed, if anything.
    """

    def __init__(self, error: Error, detail: str, result: Any = None) -> None:
        self.error, self.detail, self.result = error, detail, result
        super().__init__(f"{error}: {detail}")


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of UTC time that one run covers: seconds since 1970. A late start makes the first one short."""

    start: float
    end: float


@dataclass(slots=True)
class Box:
    """One run's view of the box.

    Attributes:
        agent: territory/site/agent, for spreading phases.
        address: The target as configured: a name, a numeric address, or one of `landmarks.NAMES`.
        toward: Addresses beyond the gateway, by which `first-hop` is found.
        window: For probes of mode "window"; None otherwise.
        icmp: The ICMP sockets that all targets share.
        stopping: Set when the agent ends: a window is closed at once and what it has is reported.
        report_target: Tells at once that the target is lost (True) or back (False).
        control: Where slots are had, when the target has a control API.
        turn: The run's hold on the box, for a heavy test.
        aside: Entered while a run waits for others: its deadline stands still, and other heavy tests may run.
        near: Set by a heavy test when its turn has come: traffic will flow in a moment.
        ready: Awaited by a heavy test before its traffic flows: whoever watches the line has begun.
        enough: Set while a heavy test runs when it should end early and report what it has.
        flow: When its traffic began and ended, by the monotonic clock; the end is infinite while it flows.
        watched: Entered around each transfer of a run that has several: watches it, and gives what is to be called
            with its result at the end, which marks that transfer's own box.
        memory: What one test against one target keeps from run to run; gone when the agent ends.
    """

    agent: str
    test: str
    icmp: "IcmpSockets"
    target: Target | None = None
    address: str | None = None
    toward: tuple[str, ...] = ()
    interface: str | None = None
    family: Literal[4, 6] | None = None
    window: Window | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    report_target: Callable[[bool], None] = lambda lost: None
    near: asyncio.Event = field(default_factory=asyncio.Event)
    ready: Callable[[], Awaitable[None]] = field(default=lambda: asyncio.sleep(0))
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    flow: tuple[float, float] | None = None
    watched: Callable[["Box", Any], AbstractAsyncContextManager[Callable[[Any], Any]]] = field(
        default=lambda part, params: contextlib.nullcontext(lambda result: result)
    )
    memory: dict[str, Any] = field(default_factory=dict)
    control: Control | None = None
    turn: "Turn | None" = None
    aside: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext
    resolved: str | None = None
    used_family: Literal[4, 6] | None = None
    verdict: Verdict = "valid"
    reasons: list[str] = field(default_factory=list)

    async def resolve(self) -> str:
        """The numeric address of the target, asked anew at each run, of the configured family if one is set.

        Raises:
            ProbeError: name_not_found, timeout; unreachable, permission, no_interface of a landmark.
        """
        if self.address is None:
            raise ProbeError("name_not_found", "no target is configured")
        found = await (landmarks.find(self) if self.address in landmarks.NAMES else self.resolved_address(self.address))
        self.resolved, self.used_family = found, 6 if ":" in found else 4
        return found

    async def resolved_address(self, address: str) -> str:
        """The numeric address of any host, of the configured family if one is set; raises ProbeError as `resolve`."""
        if _numeric(address, self.family) is not None:
            return address
        family = {4: socket.AF_INET, 6: socket.AF_INET6, None: socket.AF_UNSPEC}[self.family]
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                return (await resolver.addresses(address, family))[0]
        except socket.gaierror as e:
            raise ProbeError("name_not_found", f"{address}: {e.strerror}") from e
        except UnicodeError as e:
            raise ProbeError("name_not_found", f"{address}: not a host name") from e
        except TimeoutError as e:
            raise ProbeError("timeout", f"{address}: no answer from the resolver") from e

    def mark(self, verdict: Verdict, reason: str) -> None:
        """Notes why this run proves less than it seems; the gravest verdict stands."""
        if _SEVERITY[verdict] > _SEVERITY[self.verdict]:
            self.verdict = verdict
        if reason not in self.reasons:
            self.reasons.append(reason)


@contextmanager
def flowing(box: Box) -> Iterator[None]:
    """Notes from when to when the traffic of a heavy test flows; the newest stretch counts."""
    began = time.monotonic()
    box.flow = (began, math.inf)
    try:
        yield
    finally:
        box.flow = (began, time.monotonic())


def _numeric(address: str, wanted: Literal[4, 6] | None) -> Literal[4, 6] | None:
    """The family of a numeric address that needs no resolver; None for a name, or where another family is wanted."""
    try:
        family: Literal[4, 6] = 6 if ipaddress.ip_address(address).version == 6 else 4
    except ValueError:
        return None
    return family if wanted in (None, family) else None
