"""What the box has: its network interfaces and the probes that it can run, for the inventory."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from fibrewatch import __version__, wire
from fibrewatch_agent.conditions import link_speed
from fibrewatch_agent.config import Plan, runnable, valid_label

log = logging.getLogger(__name__)

Kind = Literal["wired", "wireless", "mobile", "loopback", "other"]
_MOST_INTERFACES, _MOST_ADDRESSES = 50, 20  # wire.Inventory's limits
_ARPHRD_LOOPBACK, _ARPHRD_NONE, _ARPHRD_RAWIP = "772", "65534", "519"  # linux/if_arp.h


def inventory(plans: Iterable[Plan], sys: Path = Path("/sys")) -> wire.Inventory:
    """The box's interfaces, its capabilities and the schedule in force."""
    return wire.Inventory(
        version=__version__,
        interfaces=tuple(interfaces(sys)),
        capabilities=tuple(f"probe:{name}" for name in runnable()),
        schedule=tuple(_scheduled(plan) for plan in plans),
    )


def interfaces(sys: Path = Path("/sys")) -> list[wire.Interface]:
    """Every interface with its numeric addresses; psutil is imported here, so that `once` does not pay for it."""
    import psutil

    try:
        addresses, stats = psutil.net_if_addrs(), psutil.net_if_stats()
    except OSError as e:  # a sandbox without netlink: the box measures all the same
        log.warning("no list of interfaces error=%s", e)
        return []
    names = [name for name in sorted(stats) if valid_label(name)][:_MOST_INTERFACES]
    return [
        wire.Interface(
            name=name,
            kind=kind(sys, name),
            up=stats[name].isup,
            link_speed=link_speed(sys, name),
            addresses=tuple(a.address.split("%")[0] for a in addresses.get(name, ()) if a.family.name != "AF_PACKET")[
                :_MOST_ADDRESSES
            ],
        )
        for name in names
    ]


def kind(sys: Path, name: str) -> Kind:
    """What an interface is, by sysfs: the driver's DEVTYPE, then the hardware type, then whether there is a device."""
    folder = sys / "class/net" / name
    hardware, uevent = _text(folder / "type"), _text(folder / "uevent")
    if hardware == _ARPHRD_LOOPBACK:
        return "loopback"
    if "DEVTYPE=wlan" in uevent or (folder / "wireless").exists() or (folder / "phy80211").exists():
        return "wireless"
    has_device = (folder / "device").exists()
    if "DEVTYPE=wwan" in uevent or (has_device and hardware in {_ARPHRD_NONE, _ARPHRD_RAWIP}):
        return "mobile"
    return "wired" if has_device and "DEVTYPE=" not in uevent else "other"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _scheduled(plan: Plan) -> wire.ScheduledTest:
    return wire.ScheduledTest(
        test=plan.test,
        probe=plan.probe.name,
        mode=plan.probe.mode,
        every_s=plan.every_s,
        interval_s=getattr(plan.params, "interval_s", None) if plan.probe.mode == "window" else None,
        target=plan.target.name if plan.target else None,
        interface=plan.interface,
        family=plan.family,
    )
