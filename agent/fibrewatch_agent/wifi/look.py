"""One look at a radio: what the kernel says of it now. A driver may ask its firmware meanwhile: work for a thread."""

from typing import NamedTuple

from fibrewatch_agent.clock import boottime
from fibrewatch_agent.wifi import station
from fibrewatch_agent.wifi.nl80211 import GET_SCAN, GET_STATION, GET_SURVEY, Interface, Nl80211
from fibrewatch_agent.wifi.radio_interface import radio
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
        at, link = boottime(), _station(air, interface)
        known = next((each for each in around(air, interface, at) if each.associated), None) if link else None
        seen = Look(at, interface, air.groups, air.country(interface.wiphy), link, known, None)
        return seen._replace(survey=_survey(air, interface, seen.frequency))


def around(air: Nl80211, interface: Interface, now: float) -> list[Bss]:
    """The kernel's list of networks."""
    told = (station.bss(each, now) for each in air.of_interface(GET_SCAN, interface.ifindex))
    return [each for each in told if each is not None]


def _station(air: Nl80211, interface: Interface) -> Station | None:
    """A station's first peer is its access point; TDLS' come after it."""
    found = (station.station(told) for told in air.of_interface(GET_STATION, interface.ifindex))
    return next((each for each in found if each is not None), None)


def _survey(air: Nl80211, interface: Interface, frequency: int | None) -> Survey | None:
    told = (station.survey(each) for each in air.of_interface(GET_SURVEY, interface.ifindex))
    surveys = [each for each in told if each is not None]
    wanted = (each for each in surveys if each.frequency == frequency or (frequency is None and each.in_use))
    return next(wanted, None)
