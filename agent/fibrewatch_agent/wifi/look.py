"""One look at a radio: what the kernel says of it now. A driver may ask its firmware meanwhile: work for a thread."""

import errno
from typing import NamedTuple

from fibrewatch_agent.clock import boottime
from fibrewatch_agent.net.netlink import attribute
from fibrewatch_agent.wifi import station
from fibrewatch_agent.wifi.nl80211 import (
    A_IFINDEX,
    A_MAC,
    GET_SCAN,
    GET_STATION,
    GET_SURVEY,
    Interface,
    Nl80211,
    number,
)
from fibrewatch_agent.wifi.radio_interface import chosen, radio
from fibrewatch_agent.wifi.station import Bss, Station, Survey


class Look(NamedTuple):
    """What there is.

    Attributes:
        at: CLOCK_BOOTTIME, seconds.
        groups: nl80211's multicast groups.
        link: None: not connected.
        known: The link's access point as last heard.
        survey: Of the link's channel; without a link of the one that the radio is on.
    """

    at: float
    interface: Interface
    groups: dict[str, int]
    country: str | None
    link: Station | None
    known: Bss | None
    survey: Survey | None

    @property
    def frequency(self) -> int | None:
        """Of the primary channel, MHz."""
        return self.interface.frequency or (self.known.frequency if self.known else None)


def look(wanted: str | None) -> Look:
    """At the interface of that name, or the first.

    Raises:
        ProbeError: no_interface.
        OSError: A sandbox forbids netlink, or the radio goes away meanwhile.
    """
    with radio(wanted) as (air, interface):
        at = boottime()
        known = next((each for each in around(air, interface, at) if each.associated), None)
        link = _station(air, interface) or (known and station_at(air, interface, known.bssid))
        if link is None:
            chosen(air.interfaces(), interface.name)  # one that was removed meanwhile has no link either
        seen = Look(at, interface, air.groups, air.country(interface.wiphy), link, known if link else None, None)
        return seen._replace(survey=_survey(air, interface, seen.frequency))


def around(air: Nl80211, interface: Interface, now: float) -> list[Bss]:
    """The kernel's list of networks."""
    told = (station.bss(each, now) for each in air.of_interface(GET_SCAN, interface.ifindex))
    return [each for each in told if each is not None]


def _station(air: Nl80211, interface: Interface) -> Station | None:
    """A station's first peer is its access point; TDLS' come after it."""
    found = (station.station(told) for told in air.of_interface(GET_STATION, interface.ifindex))
    return next((each for each in found if each is not None), None)


def station_at(air: Nl80211, interface: Interface, bssid: bytes) -> Station | None:
    """The access point by its address: some drivers can't list their peers (brcmfmac with older firmware)."""
    try:
        answers = list(air.ask(GET_STATION, attribute(A_IFINDEX, number(interface.ifindex)), attribute(A_MAC, bssid)))
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.EOPNOTSUPP):  # it is none of ours any more, or can't be asked for
            return None
        raise
    return station.station(answers[0]) if answers else None


def _survey(air: Nl80211, interface: Interface, frequency: int | None) -> Survey | None:
    told = (station.survey(each) for each in air.of_interface(GET_SURVEY, interface.ifindex))
    surveys = [each for each in told if each is not None]
    wanted = (each for each in surveys if each.frequency == frequency or (frequency is None and each.in_use))
    return next(wanted, None)
