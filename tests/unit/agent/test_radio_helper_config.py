"""Each rule of the radio helper's file has a bad one and its exact message; secrets are told to nobody."""

import re
from pathlib import Path

import pytest

from fibrewatch.errors import ConfigError
from fibrewatch_agent.radio_helper.config import NetworkConfig, load_helper
from fibrewatch_agent.radio_helper.messages import Onboard
from fibrewatch_agent.radio_helper.order import order

BAD = Path(__file__).parent / "bad_radio_helpers"
EXAMPLE = Path(__file__).parents[3] / "deploy/radio-helper.example.toml"
SECRET = "sésame, ouvre-toi"

MESSAGES = {
    "long_ssid": "networks.guests.ssid: 'éééééééééééééééééé' is no network's name: 36 bytes, not 1 to 32",
    "monitor_is_radio": "radios.wlan1.monitor: 'wlan0' is another interface's name",
    "monitor_s_name": "radios.wlan1.monitor: '../mon' is not an interface's name",
    "network_s_name": "networks: 'a b' is not a name of 1 to 63 letters, digits, _ . -",
    "no_authorities": "networks.guests: ca is missing: wpa2-eap with tls needs it",
    "no_file": "networks.guests.passphrase_file: /nonexistent/passphrase: No such file or directory",
    "no_passphrase": "networks.guests: passphrase_file is missing: wpa2-psk needs it",
    "no_radio": "radios: missing: no radio may be used",
    "passphrase_in_the_file": "networks.guests.passphrase: no such key (did you mean passphrase_file?)",
    "password_with_tls": "networks.guests.password_file: not with open",
    "radio_s_name": "radios: 'wlan/1' is not an interface's name",
    "relative_socket": "socket: 'helper.sock' is not an absolute path of at most 100 characters",
    "security": "networks.guests.security: 'wpa3-psk': invalid enum value 'wpa3-psk' (did you mean wpa2-psk?); "
    "one of open, wpa2-psk, wpa3-sae, wpa2-eap, wpa3-eap",
    "unknown_key": "radios.wlan1.onbord: no such key (did you mean onboard?)",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_bad_file_is_refused_with_its_message(name: str) -> None:
    path = BAD / f"{name}.toml"
    with pytest.raises(ConfigError) as caught:
        load_helper(path)
    assert str(caught.value) == f"{path}: {MESSAGES[name]}"


def test_every_bad_file_has_its_message() -> None:
    assert {path.stem for path in BAD.iterdir()} == set(MESSAGES)


def test_example_is_good_once_its_secrets_are_there(tmp_path: Path) -> None:
    text = EXAMPLE.read_text("utf-8")
    for each in re.findall(r'"(/etc/fibrewatch/radio/[^"]+)"', text):
        secret(tmp_path / Path(each).name, SECRET)
    path = tmp_path / "helper.toml"
    path.write_text(text.replace("/etc/fibrewatch/radio", str(tmp_path)), "utf-8")
    assert {network.security for network in load_helper(path).networks.values()} >= {"wpa2-psk", "wpa3-sae", "wpa2-eap"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o622])
def test_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = secret(tmp_path / "passphrase", SECRET)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=rf"has mode {mode:04o}: others than its owner may read it: chmod 600"):
        load_helper(config(tmp_path, path))


@pytest.mark.parametrize("text", ["", "two\nlines", "short", "x" * 64, "bell\a in it"])
def test_passphrase_that_none_can_be_is_refused_and_not_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_helper(config(tmp_path, secret(tmp_path / "passphrase", text)))
    assert not text or text not in str(caught.value).replace(str(tmp_path), "")


def test_nothing_that_stands_in_a_secret_or_a_name_ends_its_variable(tmp_path: Path) -> None:
    """wpa_supplicant takes a quoted string to its last quote; all else goes as hexadecimal."""
    passphrase = secret(tmp_path / "passphrase", 'in"ject\\ psk="other" key_mgmt=NONE')
    network = NetworkConfig(ssid='a"\\n b', security="wpa2-psk", passphrase_file=passphrase)
    found = dict(order(Onboard(network="n"), network, "wlan1", str(tmp_path), "file").variables)
    assert found["psk"] == '"in"ject\\ psk="other" key_mgmt=NONE"'
    assert bytes.fromhex(found["ssid"]).decode() == 'a"\\n b'
    for secretly in ("wpa3-sae", "wpa2-psk"):
        network = NetworkConfig(ssid="fibre", security=secretly, passphrase_file=passphrase)
        names = {name for name, _ in order(Onboard(network="n"), network, "wlan1", str(tmp_path), "file").variables}
        assert {"ssid", "key_mgmt", "ieee80211w", "proto"} <= names


def config(folder: Path, passphrase: Path) -> Path:
    path = folder / "helper.toml"
    table = f'[networks.n]\nssid = "n"\nsecurity = "wpa2-psk"\npassphrase_file = "{passphrase}"\n'
    path.write_text(f"[radios.wlan1]\nonboard = true\n{table}")
    return path


def secret(path: Path, text: str) -> Path:
    path.write_text(f"{text}\n", "utf-8")
    path.chmod(0o600)
    return path
