"""What stands behind an access point fails, then the access point is full, then gone."""

import contextlib
from collections.abc import Iterator
from typing import Any

from fibrewatch_agent.radio_helper.messages import Onboarded
from tests.lab.radio import onboarding as here
from tests.lab.radio.world import AccessPoint, Dhcp, World

RADIOS = 3
_NETWORK = here.network("psk", "fibre", "wpa2-psk", passphrase_file=f"{here.FOLDER}/right")


def scene(world: World) -> Any:
    """Facts by the case's name."""
    here.prepare(_NETWORK)
    point = world.access_point(1, "fibre", max_num_sta=1)
    dhcp = world.dhcp(point)
    with here.helper() as helper:
        found = dict(_behind(point, dhcp)) | dict(_full(world, point))
        point.stop()
        found["gone"] = _onboarded()
        assert helper.poll() is None
    return found


def _onboarded() -> Onboarded:
    return here.onboarded("psk", fast=False, limits=here.SHORT)


def _behind(point: AccessPoint, dhcp: Dhcp) -> Iterator[tuple[str, Onboarded]]:
    """The nearest last."""
    yield "no-server", _onboarded()
    portal = here.web(point, "302 Found", here.PORTAL)
    yield "portal", _onboarded()
    portal.terminate()
    for name, options in {
        "dns-refused": {"port": "0", "dhcp-option": f"6,{dhcp.host}"},
        "dns-silent": {"dhcp-option": f"6,{dhcp.host}9"},
        "dns-no-name": {"address": "/elsewhere.example/10.9.9.9"},
        "gateway-silent": {"dhcp-option": f"3,{dhcp.host}9"},
    }.items():
        with _other(point, dhcp, options):
            yield name, _onboarded()
    dhcp.stop()
    yield "dhcp-silent", _onboarded()


@contextlib.contextmanager
def _other(point: AccessPoint, dhcp: Dhcp, options: dict[str, object]) -> Iterator[None]:
    dhcp.stop()
    other = Dhcp(point.namespace, point.interface, dhcp.host.rpartition(".")[0])
    other.options |= options
    other.start()
    try:
        yield
    finally:
        other.stop()


def _full(world: World, point: AccessPoint) -> Iterator[tuple[str, Onboarded]]:
    station = world.station(2)
    station.start("fibre", scan_freq="2437")
    station.connected(point.bssid)
    yield "full", _onboarded()
    station.stop()
