"""Onto networks of each kind, and what an access point or an authentication server refuses."""

from typing import Any

from tests.lab.radio import onboarding as here
from tests.lab.radio.onboarding import FOLDER, network, onboarded
from tests.lab.radio.world import World
from tests.support.certificates import Authority

RADIOS = 4
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
        network("sae", "fibre3", "wpa3-sae", hidden=True, **_RIGHT),
        network("sae-wrong", "fibre3", "wpa3-sae", hidden=True, **_WRONG),
        network("tls", "fibre-x", "wpa2-eap", **_TLS),
        network("peap", "fibre-x", "wpa2-eap", **_PEAP),
        network("peap-wrong", "fibre-x", "wpa2-eap", **_PEAP | {"password_file": f"{FOLDER}/wrong"}),
        network("peap-other-ca", "fibre-x", "wpa2-eap", **_PEAP | {"ca": f"{FOLDER}/other.pem"}),
        network("peap-nobody", "fibre-x", "wpa2-eap", **_PEAP | {"identity": "nobody@example"}),
        network("peap-other-name", "fibre-x", "wpa2-eap", **_PEAP | {"server_name": "elsewhere.example"}),
    )
)


def scene(world: World) -> Any:
    """Facts by the case's name."""
    authority = _prepare()
    psk = world.access_point(1, "fibre")
    sae = world.access_point(2, "fibre3", wpa_key_mgmt="SAE", ieee80211w=2, channel=1, ignore_broadcast_ssid=1)
    eap = world.access_point(3, "fibre-x", channel=11, **here.eap_server(FOLDER, authority))
    for i, point in enumerate((psk, sae, eap)):
        world.dhcp(point, f"10.77.{i}")
        here.web(point)
    with here.helper():
        found = {name: onboarded(name) for name in ("psk", "sae", "tls", "peap")}
        found |= {name: onboarded(name, fast=False) for name in _refused()}
        for name, options in _broken(authority).items():
            eap.stop()
            eap.options |= options
            eap.start()
            found[name] = onboarded("peap", fast=False)
        return found


def _broken(authority: Authority) -> dict[str, dict[str, object]]:
    """The authentication server's certificate has expired; then it is another machine, and dead."""
    old = authority.certificate("old", subject="/CN=radius.example", names="DNS:radius.example", end="20210101000000Z")
    dead = {"auth_server_addr": "127.0.0.1", "auth_server_port": 1812, "auth_server_shared_secret": "secret"}
    return {"peap-expired": {"server_cert": old, "private_key": old}, "peap-dead": {"eap_server": 0} | dead}


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
    return ["psk-wrong", "psk-as-sae", "sae-wrong", "peap-wrong", "peap-nobody", "peap-other-ca", "peap-other-name"]
