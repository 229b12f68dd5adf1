"""Everything that can stop a client, one after the other: what the radio helper says of each."""

import contextlib
from collections.abc import Iterator
from typing import Any

from fibrewatch_agent.radio_helper.messages import Onboarded
from tests.lab.radio import onboarding as here
from tests.lab.radio.onboarding import FOLDER, network, onboarded
from tests.lab.radio.world import AccessPoint, Dhcp, World
from tests.support.certificates import Authority

RADIOS = 5
_RIGHT, _WRONG = {"passphrase_file": f"{FOLDER}/right"}, {"passphrase_file": f"{FOLDER}/wrong"}
_PEAP = {"eap": "peap", "identity": "box@example", "server_name": "radius.example"}
_PEAP |= {"password_file": f"{FOLDER}/password", "ca": f"{FOLDER}/ca.pem"}
_TLS = {"eap": "tls", "identity": "box@example", "ca": f"{FOLDER}/ca.pem"}
_TLS |= {"certificate": f"{FOLDER}/client.crt", "key": f"{FOLDER}/client"}
_NETWORKS = "".join(
    (
        network("psk", "fibre", "wpa2-psk", **_RIGHT),
        network("psk-wrong", "fibre", "wpa2-psk", **_WRONG),
        network("psk-as-sae", "fibre", "wpa3-sae", **_RIGHT),
        network("sae", "fibre3", "wpa3-sae", **_RIGHT),
        network("sae-wrong", "fibre3", "wpa3-sae", **_WRONG),
        network("tls", "fibre-x", "wpa2-eap", **_TLS),
        network("peap", "fibre-x", "wpa2-eap", **_PEAP),
        network("peap-wrong", "fibre-x", "wpa2-eap", **_PEAP | {"password_file": f"{FOLDER}/wrong"}),
        network("peap-other-ca", "fibre-x", "wpa2-eap", **_PEAP | {"ca": f"{FOLDER}/other.pem"}),
        network("peap-other-name", "fibre-x", "wpa2-eap", **_PEAP | {"server_name": "elsewhere.example"}),
    )
)


def scene(world: World) -> Any:
    """Facts by the case's name: what was answered, and how each access point's log ends."""
    authority = _prepare()
    psk = world.access_point(1, "fibre", max_num_sta=1)
    sae = world.access_point(2, "fibre3", wpa_key_mgmt="SAE", ieee80211w=2, channel=1)
    eap = world.access_point(3, "fibre-x", channel=11, **here.eap_server(FOLDER, authority))
    leases = {point: world.dhcp(point, f"10.77.{i}") for i, point in enumerate((psk, sae, eap))}
    webs = [here.web(point) for point in (psk, sae, eap)]
    with here.helper() as helper:
        found = {name: onboarded(name) for name in ("psk", "sae", "tls", "peap")}
        found |= {name: onboarded(name, fast=False) for name in _refused()}
        webs[0].terminate()
        found |= dict(_behind(psk, leases[psk]))
        found |= dict(_full(world, psk))
        psk.stop()
        found["gone"] = onboarded("psk", fast=False, limits=here.SHORT)
        assert helper.poll() is None
    return found


def _prepare() -> Authority:
    here.prepare(_NETWORKS)
    authority, other = Authority(FOLDER / "authority"), Authority(FOLDER / "other", "Another authority")
    (FOLDER / "ca.pem").write_text(authority.pem.read_text())
    (FOLDER / "other.pem").write_text(other.pem.read_text())
    authority.certificate("client", subject="/CN=box@example", names="DNS:box.example")
    here.secret("client", (authority.folder / "client.key").read_text())
    (FOLDER / "client.crt").write_text((authority.folder / "client.crt").read_text())
    return authority


def _refused() -> list[str]:
    return ["psk-wrong", "psk-as-sae", "sae-wrong", "peap-wrong", "peap-other-ca", "peap-other-name"]


def _behind(point: AccessPoint, dhcp: Dhcp) -> Iterator[tuple[str, Onboarded]]:
    """What stands behind the access point fails, the nearest last."""
    yield "no-server", onboarded("psk", fast=False)
    portal = here.web(point, "302 Found", here.PORTAL)
    yield "portal", onboarded("psk", fast=False)
    portal.terminate()
    for name, options in {
        "dns-refused": {"port": "0"},
        "dns-silent": {"dhcp-option": f"6,{dhcp.host}9"},
        "dns-no-name": {"address": "/elsewhere.example/10.9.9.9"},
        "gateway-silent": {"dhcp-option": f"3,{dhcp.host}9"},
    }.items():
        with _other(point, dhcp, options):
            yield name, onboarded("psk", fast=False)
    dhcp.stop()
    yield "dhcp-silent", onboarded("psk", fast=False)


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
    station = world.station(4)
    station.start("fibre", scan_freq="2437")
    station.connected(point.bssid)
    yield "full", onboarded("psk", fast=False)
    station.stop()
