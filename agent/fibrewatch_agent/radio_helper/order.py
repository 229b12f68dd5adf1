"""What the radio helper orders of its cell, the process that is a network's client in a namespace of its own."""

import os

from msgspec import Struct

from fibrewatch.ssid import octets
from fibrewatch_agent.child import find
from fibrewatch_agent.radio_helper.config import NetworkConfig, secret
from fibrewatch_agent.radio_helper.messages import Onboard
from fibrewatch_agent.radio_helper.points import printed
from fibrewatch_agent.wifi.control import text

READY = b"ready\n"
"""What a cell says first."""
_IN_SBIN = "/usr/sbin/wpa_supplicant"
_KEYS = {
    "open": ("NONE", 0),
    "wpa2-psk": ("WPA-PSK WPA-PSK-SHA256 FT-PSK", 1),
    "wpa3-sae": ("SAE FT-SAE", 2),
    "wpa2-eap": ("WPA-EAP WPA-EAP-SHA256 FT-EAP", 1),
    "wpa3-eap": ("WPA-EAP-SHA256 FT-EAP", 2),
}
"""Key management, and whether management frames are protected: not, where the access point can, or always."""


class Order(Struct, frozen=True, kw_only=True):
    """All of it; it holds secrets, and goes through a pair of sockets.

    Attributes:
        folder: The cell's own, for wpa_supplicant's control sockets.
        supplicant: Where wpa_supplicant is: a service's PATH lacks /usr/sbin at times.
        ssid: As people read it; `printed` as wpa_supplicant writes it.
        variables: Of wpa_supplicant's network: name, and value as SET_NETWORK takes it.
    """

    interface: str
    folder: str
    supplicant: str
    ssid: str
    printed: str
    variables: tuple[tuple[str, str], ...]
    eap: bool
    keys: bool
    request: Onboard


def order(request: Onboard, network: NetworkConfig, interface: str, folder: str, file: str) -> Order:
    """The order for a network of the configuration, its secrets read anew.

    Raises:
        ConfigError: A secret can't be read, or by others as well.
        ToolError: wpa_supplicant is not installed.
    """
    place = f"networks.{request.network}"
    return Order(
        interface=interface,
        folder=folder,
        supplicant=_supplicant(),
        ssid=network.ssid,
        printed=printed(octets(network.ssid)),
        variables=tuple(_variables(network, file, place)),
        eap=network.eap is not None,
        keys=network.security != "open",
        request=request,
    )


def _supplicant() -> str:
    return _IN_SBIN if os.access(_IN_SBIN, os.X_OK) else find("wpa_supplicant")


def _variables(network: NetworkConfig, file: str, place: str) -> list[tuple[str, str]]:
    keys, protection = _KEYS[network.security]
    found = [("ssid", octets(network.ssid).hex()), ("key_mgmt", keys), ("ieee80211w", str(protection))]
    if network.hidden:
        found.append(("scan_ssid", "1"))
    if network.security != "open":
        found.append(("proto", "RSN"))
    if network.passphrase_file is not None:
        passphrase = secret(network.passphrase_file, file, f"{place}.passphrase_file")
        of_psk = network.security == "wpa2-psk"  # in hexadecimal that would be the key itself
        found.append(("psk", f'"{passphrase}"') if of_psk else ("sae_password", text(passphrase)))
    return found + (_of_eap(network, file, place) if network.eap else [])


def _of_eap(network: NetworkConfig, file: str, place: str) -> list[tuple[str, str]]:
    texts = {
        "identity": network.identity,
        "anonymous_identity": network.anonymous_identity,
        "ca_cert": network.ca,
        "domain_suffix_match": network.server_name,
        "client_cert": network.certificate,
        "private_key": network.key,
        "password": network.password_file and secret(network.password_file, file, f"{place}.password_file"),
        "private_key_passwd": network.key_password_file
        and secret(network.key_password_file, file, f"{place}.key_password_file"),
    }
    found = [("eap", "TLS")] if network.eap == "tls" else [("eap", "PEAP"), ("phase2", '"auth=MSCHAPV2"')]
    return found + [(name, text(str(value))) for name, value in texts.items() if value is not None]
