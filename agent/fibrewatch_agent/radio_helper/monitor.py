"""A monitor interface for as long as somebody wants it."""

import contextlib
import errno
from collections.abc import AsyncIterator

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.radio_helper import links, orders, radios
from fibrewatch_agent.radio_helper.messages import Monitor
from fibrewatch_agent.wifi.nl80211 import Interface, Nl80211


@contextlib.asynccontextmanager
async def monitor(request: Monitor, interface: Interface, name: str) -> AsyncIterator[None]:
    """Makes it, and sets the radio's own interface down meanwhile: two can't hold two channels.

    The kernel removes it when our socket is closed, so also when we are killed.

    Raises:
        ProbeError: denied, the radio carries the uplink; busy, or what the kernel says of the channel.
    """
    radios.spare(interface)
    was_up = links.is_up(interface.name)
    with contextlib.ExitStack() as undone:
        if was_up:
            undone.callback(_quietly_up, interface.ifindex)
        made = undone.enter_context(Nl80211())
        _remove_old(made, interface, name)
        _make(made, interface, name)
        index = radios.index_of(name)
        if index is None:
            raise ProbeError("no_interface", f"{name} went as soon as it was made")
        undone.callback(_quietly_remove, made, index)
        links.set_up(interface.ifindex, up=False)
        links.set_up(index)
        _tune(made, index, request)
        yield


def _make(made: Nl80211, interface: Interface, name: str) -> None:
    try:
        orders.make_monitor(made, interface.wiphy, name)
    except OSError as e:
        if e.errno != errno.EOPNOTSUPP:
            raise
        raise ProbeError("denied", f"{interface.name}: its driver has no monitor mode") from e


def _tune(made: Nl80211, index: int, request: Monitor) -> None:
    try:
        orders.set_channel(made, index, request.frequency, request.width, request.center or request.frequency)
    except OSError as e:
        if e.errno == errno.EBUSY:
            raise ProbeError("busy", "another interface of the radio holds another channel") from e
        if e.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        what = f"{request.frequency} MHz with {request.width} MHz"
        raise ProbeError("denied", f"{what}: the radio or its country has no such channel") from e


def _remove_old(made: Nl80211, interface: Interface, name: str) -> None:
    """One of that name that a killed helper has left where the kernel is too old to remove it."""
    for each in made.interfaces():
        if each.name == name and each.wiphy == interface.wiphy:
            orders.remove(made, each.ifindex)
            return
    if radios.index_of(name) is not None:
        raise ProbeError("busy", f"there is another interface {name}")


def _quietly_up(index: int) -> None:
    with contextlib.suppress(OSError):  # it may have been unplugged
        links.set_up(index)


def _quietly_remove(made: Nl80211, index: int) -> None:
    with contextlib.suppress(OSError):
        orders.remove(made, index)
