"""From one access point to another of a network: by fast transition (802.11r) with each kind of key, and without."""

from typing import Any

from tests.lab.radio import onboarding as here
from tests.lab.radio.onboarding import FOLDER, network, onboarded
from tests.lab.radio.world import AccessPoint, World
from tests.support.certificates import Authority
from tests.support.netns import Namespace

RADIOS = 3
_KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
_DOMAIN = {"mobility_domain": "a1b2", "ft_over_ds": 0, "reassociation_deadline": 1000}
_APART = ("psk", "psk-strangers")
_RIGHT = {"passphrase_file": f"{FOLDER}/right"}
_PEAP = {"eap": "peap", "identity": "box@example", "server_name": "radius.example"}
_PEAP |= {"password_file": f"{FOLDER}/password", "ca": f"{FOLDER}/ca.pem"}
_NETWORKS = network("psk", "fibre", "wpa2-psk", **_RIGHT) + network("sae", "fibre", "wpa3-sae", **_RIGHT)
_NETWORKS += network("eap", "fibre", "wpa2-eap", **_PEAP)


def scene(world: World) -> Any:
    """Facts by the case's name; each has both access points on the air anew."""
    here.prepare(_NETWORKS)
    authority = Authority(FOLDER / "authority")
    (FOLDER / "ca.pem").write_text(authority.pem.read_text())
    kinds: dict[str, dict[str, object]] = {
        "psk": {"wpa_key_mgmt": "WPA-PSK FT-PSK", "ft_psk_generate_local": 1} | _DOMAIN,
        "sae": {"wpa_key_mgmt": "SAE FT-SAE", "ieee80211w": 2} | _DOMAIN,
        "eap": here.eap_server(FOLDER, authority) | {"wpa_key_mgmt": "WPA-EAP FT-EAP"} | _DOMAIN,
        "psk-without": {},
        "psk-strangers": {"wpa_key_mgmt": "FT-PSK"} | _DOMAIN,
    }
    inside = world.namespace("points")
    interfaces = [world.radios.move(radio, inside) for radio in (1, 2)]
    inside.run("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
    inside.run("ip", "link", "set", "br0", "up")
    with here.helper():
        return {name: _moved(world, name, interfaces, inside, options) for name, options in kinds.items()}


def _moved(world: World, name: str, interfaces: list[str], inside: Namespace, options: dict[str, object]) -> Any:
    """One hostapd for both carries keys between them; two of them have none of each other's."""
    points = [_point(interface, inside, name, options, i) for i, interface in enumerate(interfaces)]
    together = name not in _APART
    points[0].start(*(points[1:] if together else []))
    if not together:
        points[1].start()
    dhcp = world.dhcp(points[0])
    try:
        with here.capture(name):
            return onboarded(name.partition("-")[0], check=None, url=None, limits=here.SHORT)
    finally:
        dhcp.stop()
        for point in points:
            point.stop()
            if point.log_file.exists():
                point.log_file.replace(point.log_file.with_suffix(f".{name}.log"))


def _point(interface: str, inside: Namespace, name: str, options: dict[str, object], place: int) -> AccessPoint:
    """Both are on one bridge, as access points are on one wire."""
    own: dict[str, object] = {"bridge": "br0", "channel": (6, 11)[place]}
    if "mobility_domain" in options:
        bssids = [f"02:00:00:00:0{number}:00" for number in (1, 2)]
        other = bssids[1 - place]
        own |= {"nas_identifier": f"{name}-{place}", "r1_key_holder": f"00000000000{place + 1}"}
        if name != "psk-strangers":
            own["r0kh"] = f"{other} {name}-{1 - place} {_KEY}"
            own["r1kh"] = f"{other} 00:00:00:00:00:0{2 - place} {_KEY}"
    return AccessPoint(inside, interface, "fibre", **(options | own))
