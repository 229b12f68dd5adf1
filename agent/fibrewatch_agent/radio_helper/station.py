"""The station: wpa_supplicant as our child, told of one network by its control interface, and listened to."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.child import Child, child
from fibrewatch_agent.radio_helper import radios
from fibrewatch_agent.radio_helper.order import Order
from fibrewatch_agent.radio_helper.points import Point, elsewhere, mobility_domain, points
from fibrewatch_agent.radio_helper.way import Way
from fibrewatch_agent.wifi.control import Control, attached
from fibrewatch_agent.wifi.joining import Event, Failure, Joining, reason_of

_START_S, _LEAVE_S, _LOOK_S, _SOON_S, _KEPT = 40.0, 5.0, 0.5, 0.01, 65536
_CACHED = "PMKSA-CACHE-ADDED"
_HANDSHAKE_TIMEOUT = 15
_CONFIG = "ctrl_interface={folder}\np2p_disabled=1\nupdate_config=0\n"


class Station:
    """One station and its network, number 0."""

    def __init__(self, control: Control, order: Order, way: Way, process: Child) -> None:
        self._control, self._order, self._way, self._process = control, order, way, process
        self._security = ""

    async def prepare(self) -> None:
        """Tells it of the network; secrets go by the socket, no file and no command line has them."""
        await self._control.ask("SET sae_pwe 2")
        number = (await self._control.ask("ADD_NETWORK")).strip()
        for name, value in self._order.variables:
            await self._control.set_network(number, name, value)

    async def join(self) -> None:
        """Onto the network with no keys known from before, and what the kernel still knows of the air forgotten.

        Raises:
            ProbeError: The phase is noted.
        """
        await self._control.ask("BSS_FLUSH 0")
        began = time.monotonic()
        await self._control.ask("SELECT_NETWORK 0")
        joining = await self._followed(began)
        times = joining.times()
        self._way.note(**times, attempts=joining.attempts or None, bssid=joining.bssid, frequency=joining.frequency)
        self._way.note(status_code=joining.status_code)
        if joining.ended is None:
            self._way.note(reason_code=joining.reason_code)
            raise await self._failed(joining)
        self._security = (await self._status()).get("key_mgmt", "")
        self._way.note(join=joining.ended - began, security=self._security)

    async def _failed(self, joining: Joining) -> ProbeError:
        why = joining.given_up(self._order.request.limits.join_s)
        if why.phase == "scan":
            why = await self._unseen(why)
        self._way.fail(why.phase)
        return ProbeError(why.error, f"{why.phase}: {why.detail}")

    async def _unseen(self, why: Failure) -> Failure:
        """A network that is on the air but was not chosen has another security than the configuration says."""
        seen = [each for each in await self._points() if each.ssid == self._order.printed]
        if not seen:
            return why._replace(detail=f"{self._order.ssid!r} {why.detail}")
        what = f"{self._order.ssid!r} is there with another security: {seen[0].flags}"
        return why._replace(error="denied", detail=what)

    async def _domain(self, bssid: str) -> bytes | None:
        """The mobility domain that an access point says it is of."""
        return mobility_domain(await self._control.ask(f"BSS {bssid}"))

    async def _points(self) -> list[Point]:
        return list(points(await self._control.ask("SCAN_RESULTS")))

    def blamed(self, e: ProbeError) -> ProbeError:
        """What failed after the join, or the loss of the link meanwhile.

        An access point that never took the handshake's last message says so seconds later (reason 15): it was that.
        """
        if (own := _own_fault(self._process, self._order.interface)) is not None:
            self._way.note(failed_phase=None)
            return own
        while (event := self._control.event_now()) is not None:
            if event.text.startswith("CTRL-EVENT-DISCONNECTED"):
                lost = reason_of(event)
                self._way.note(reason_code=lost)
                if lost == _HANDSHAKE_TIMEOUT:
                    self._way.note(failed_phase="handshake", handshake=None, join=None)
                    return ProbeError("denied", "handshake: the access point ended it as unfinished (reason 15)")
                return ProbeError(e.error, f"{e.detail}; the link was lost meanwhile (reason {lost})")
        return e

    async def come_back(self) -> None:
        """Leaves, and comes back with the keys that are known.

        Raises:
            ProbeError: The phase is noted as "fast".
        """
        async with self._way.phase("fast", self._order.request.limits.join_s + _LEAVE_S):
            await self._leave()
            known = len((await self._control.ask("PMKSA")).splitlines()) > 1
            began = time.monotonic()
            await self._control.ask("RECONNECT")
            fresh: list[Event] = []
            joining = await self._followed(began, fresh)
            if joining.ended is None:
                why = joining.given_up(self._order.request.limits.join_s)
                raise ProbeError(why.error, f"{why.phase}: {why.detail}")
        new = any(event.text.startswith(_CACHED) for event in fresh)
        self._way.note(**{f"fast_{phase}": took_s for phase, took_s in joining.times().items()})
        self._way.note(fast_join=joining.ended - began)
        if "SAE" in self._security or self._order.eap:
            self._way.note(fast_cached=known and not new and not joining.eap_seen)

    async def roam(self) -> None:
        """Moves to another access point of the network, if one is heard well: by fast transition where both offer it.

        Raises:
            ProbeError: The phase is noted as "roam".
        """
        status = await self._status()
        wanted = elsewhere(await self._points(), self._order.printed, status.get("bssid"))
        if wanted is None:
            return
        self._way.note(roam_bssid=wanted.bssid)
        domains = [await self._domain(bssid) for bssid in (status.get("bssid", ""), wanted.bssid)]
        ft = status.get("key_mgmt", "").startswith("FT") and None not in domains and domains[0] == domains[1]
        async with self._way.phase("roam", self._order.request.limits.join_s + _LEAVE_S):
            while self._control.event_now() is not None:
                pass  # of what was before
            began = time.monotonic()
            await self._control.ask(f"ROAM {wanted.bssid}")
            joining = await self._followed(began, ft=ft)
            if joining.ended is None:
                self._way.note(status_code=joining.status_code, reason_code=joining.reason_code)
                why = joining.given_up(self._order.request.limits.join_s)
                raise ProbeError(why.error, f"{why.phase}: {why.detail}")
            if joining.connected not in (None, wanted.bssid):
                raise ProbeError("denied", f"{wanted.bssid} did not take it: it is back at {joining.connected}")
        times = {phase: took_s for phase, took_s in joining.times().items() if phase != "scan"}
        self._way.note(**{f"roam_{phase}": took_s for phase, took_s in times.items()})
        self._way.note(roam_join=joining.ended - began, roam_fast=joining.transition)

    async def _leave(self) -> None:
        await self._control.ask("DISCONNECT")
        async with asyncio.timeout(_LEAVE_S):
            while not (await self._event()).text.startswith("CTRL-EVENT-DISCONNECTED"):
                pass

    async def _event(self) -> Event:
        """The next one; raises ProbeError when none will come."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    return await self._control.event()
            if (own := _own_fault(self._process, self._order.interface)) is not None:
                raise own

    async def _followed(self, began: float, heard: list[Event] | None = None, *, ft: bool = False) -> Joining:
        """Until it is joined, has failed for good, or the time is over."""
        joining = Joining(began, eap=self._order.eap, keys=self._order.keys, ft=ft)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + self._order.request.limits.join_s):
                while joining.ended is None and joining.failure is None:
                    event = await self._event()
                    joining.take(event)
                    if heard is not None:
                        heard.append(event)
        return joining

    async def _status(self) -> dict[str, str]:
        lines = (await self._control.ask("STATUS")).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


@contextlib.asynccontextmanager
async def station(order: Order, way: Way) -> AsyncIterator[Station]:
    """wpa_supplicant on the interface, ready to join; it has ended when the block is left.

    Raises:
        ProbeError: tool_failed, it does not start.
        ToolError: It is not installed.
    """
    folder = Path(order.folder)
    config = folder / "wpa_supplicant.conf"
    config.write_text(_CONFIG.format(folder=folder / "control"), "ascii")
    argv = [order.supplicant, "-i", order.interface, "-D", "nl80211", "-c", str(config)]
    async with child(argv, keep=_KEPT, tail=True) as process, contextlib.AsyncExitStack() as opened:
        try:
            async with asyncio.timeout(_START_S):
                path = folder / "control" / order.interface
                await _there(path, process, order.interface)
                control = await opened.enter_async_context(attached(path, folder))
                here = Station(control, order, way, process)
                await here.prepare()
        except (OSError, ProbeError) as e:  # a timeout is one as well
            if (own := _own_fault(process, order.interface)) is not None:
                raise own from e
            if isinstance(e, ProbeError):
                raise
            raise ProbeError("tool_failed", f"wpa_supplicant does not start: {_last(process)}") from e
        yield here


async def _there(path: Path, process: Child, interface: str) -> None:
    """Once its control socket is; raises ProbeError if it ends before that."""
    while not _exists(path):
        if (own := _own_fault(process, interface)) is not None:
            raise own
        await asyncio.sleep(_SOON_S)


def _exists(path: Path) -> bool:
    return path.exists()


def _own_fault(process: Child, interface: str) -> ProbeError | None:
    """What is no network's fault, and its socket does not tell: that the other end has died."""
    if radios.index_of(interface) is None:
        return ProbeError("no_interface", f"{interface} was removed meanwhile")
    if process.ended:
        status = process.transport.get_returncode()
        return ProbeError("tool_failed", f"wpa_supplicant has ended (status {status}): {_last(process)}")
    return None


def _last(process: Child) -> str:
    return process.output.decode("utf-8", "replace").strip().rpartition("\n")[2]
