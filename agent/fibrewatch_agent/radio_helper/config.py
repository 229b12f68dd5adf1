"""The radio helper's configuration: which radios may be used for what, who may ask, and the networks' secrets."""

import os
import pwd
import re
import stat
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from msgspec import Meta, Struct

from fibrewatch.config import load
from fibrewatch.errors import ConfigError
from fibrewatch.ssid import octets
from fibrewatch_agent.radio_helper.messages import DEFAULT_SOCKET

DEFAULT_PATH = Path("/etc/fibrewatch/radio-helper.toml")
_INTERFACE, _NETWORK = re.compile(r"[A-Za-z0-9_.-]{1,15}"), re.compile(r"[A-Za-z0-9_.-]{1,63}")
_LONGEST_SOCKET, _LARGEST_SECRET = 100, 4096
_READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO

Security = Literal["open", "wpa2-psk", "wpa3-sae", "wpa2-eap", "wpa3-eap"]
Ssid = Annotated[str, Meta(min_length=1, max_length=128)]


class RadioConfig(Struct, frozen=True, kw_only=True):
    """[radios.INTERFACE]: what the interface's radio may be used for; `monitor` is the monitor interface's name."""

    scan: bool = False
    monitor: str | None = None
    onboard: bool = False


class NetworkConfig(Struct, frozen=True, kw_only=True):
    """[networks.NAME]: how to become its client.

    Attributes:
        ssid: As results write it: `\\xNN` for a byte that is no text, a backslash twice.
        hidden: Its beacons don't say its SSID.
        passphrase_file: Of WPA2-PSK and WPA3-SAE: one line.
        identity: Of 802.1X; `anonymous_identity` is what is said outside the tunnel.
        password_file: Of PEAP (MSCHAPv2).
        ca: PEM of the authorities of the RADIUS server's certificate, without which nobody is believed.
        server_name: Must be a name in that certificate, or end one.
        certificate: PEM, of EAP-TLS, with `key`, and `key_password_file` where the key has one.
    """

    ssid: Ssid
    security: Security
    hidden: bool = False
    passphrase_file: Path | None = None
    eap: Literal["tls", "peap"] | None = None
    identity: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    anonymous_identity: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    password_file: Path | None = None
    ca: Path | None = None
    server_name: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9.-]{1,253}\Z")] | None = None
    certificate: Path | None = None
    key: Path | None = None
    key_password_file: Path | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        """The fields that this kind of network needs besides ssid and security."""
        if self.security in ("wpa2-psk", "wpa3-sae"):
            return ("passphrase_file",)
        if self.security == "open":
            return ()
        of_method = ("certificate", "key") if self.eap == "tls" else ("password_file",)
        return ("eap", "identity", "ca", *of_method)

    @property
    def possible(self) -> tuple[str, ...]:
        """Those that it may have."""
        if "eap" not in self.wanted:
            return self.wanted
        return (
            *self.wanted,
            "anonymous_identity",
            "server_name",
            *(["key_password_file"] if self.eap == "tls" else []),
        )


class HelperConfig(Struct, frozen=True, kw_only=True):
    """The file.

    Attributes:
        socket: Where the helper listens; its folder must be there.
        user: Who may ask, besides root and the helper's own user.
    """

    socket: str = DEFAULT_SOCKET
    user: str = "fibrewatch-agent"
    radios: dict[str, RadioConfig] = {}
    networks: dict[str, NetworkConfig] = {}


_DEPENDENT = (
    *("passphrase_file", "eap", "identity", "anonymous_identity", "password_file", "ca", "server_name"),
    *("certificate", "key", "key_password_file"),
)


def load_helper(path: Path) -> HelperConfig:
    """Reads and checks the file, and that every secret is there and its owner's alone.

    Raises:
        ConfigError: What is wrong, with file, place and value; never a secret.
    """
    config = load(path, HelperConfig)
    _Checker(str(path)).check(config)
    return config


def user_id(config: HelperConfig, file: str) -> int:
    """The number of the user who may ask.

    Raises:
        ConfigError: There is no such user.
    """
    try:
        return pwd.getpwnam(config.user).pw_uid
    except KeyError as e:
        raise ConfigError(file, "user", f"there is no user {config.user!r}") from e


def secret(path: Path, file: str, place: str) -> str:
    """The one line of a file that only its owner may read.

    Raises:
        ConfigError: It can't be read, others may read it, or it is not one line of text.
    """
    try:
        with path.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read(_LARGEST_SECRET + 1).decode().removesuffix("\n")
    except OSError as e:
        raise ConfigError(file, place, f"{path}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise ConfigError(file, place, f"{path}: not UTF-8") from e
    _private(mode, path, file, place)
    if not text or len(text) > _LARGEST_SECRET or any(ord(each) < 32 for each in text):
        raise ConfigError(file, place, f"{path}: not one line of text")
    return text


def _private(mode: int, path: Path, file: str, place: str) -> None:
    if not stat.S_ISREG(mode):
        raise ConfigError(file, place, f"{path}: not a file")
    if mode & _READABLE_BY_OTHERS:
        problem = f"{path} has mode {stat.S_IMODE(mode):04o}: others than its owner may read it: chmod 600 {path}"
        raise ConfigError(file, place, problem)


class _Checker:
    """The rules that one field alone can't tell."""

    def __init__(self, file: str) -> None:
        self.file = file

    def check(self, config: HelperConfig) -> None:
        if not config.socket.startswith("/") or len(config.socket) > _LONGEST_SOCKET:
            self._fail("socket", f"{config.socket!r} is not an absolute path of at most {_LONGEST_SOCKET} characters")
        if not config.radios:
            self._fail("radios", "missing: no radio may be used")
        monitors = [radio.monitor for radio in config.radios.values() if radio.monitor is not None]
        for name, radio in config.radios.items():
            self._interface("radios", name)
            if radio.monitor is not None:
                self._interface(f"radios.{name}.monitor", radio.monitor)
                if radio.monitor in config.radios or monitors.count(radio.monitor) > 1:
                    self._fail(f"radios.{name}.monitor", f"{radio.monitor!r} is another interface's name")
        for name, network in config.networks.items():
            if not _NETWORK.fullmatch(name):
                self._fail("networks", f"{name!r} is not a name of 1 to 63 letters, digits, _ . -")
            self._network(f"networks.{name}", network)

    def _interface(self, place: str, name: str) -> None:
        if not _INTERFACE.fullmatch(name) or name in (".", ".."):
            self._fail(place, f"{name!r} is not an interface's name")

    def _network(self, place: str, network: NetworkConfig) -> None:
        try:
            octets(network.ssid)
        except ValueError as e:
            self._fail(f"{place}.ssid", str(e))
        kind = network.security + (f" with {network.eap}" if network.eap else "")
        for each in network.wanted:
            if getattr(network, each) is None:
                self._fail(place, f"{each} is missing: {kind} needs it")
        for each in _DEPENDENT:
            if getattr(network, each) is not None and each not in network.possible:
                self._fail(f"{place}.{each}", f"not with {kind}")
        self._files(place, network)

    def _files(self, place: str, network: NetworkConfig) -> None:
        for each in ("passphrase_file", "password_file", "key_password_file"):
            path = getattr(network, each)
            if path is not None:
                text = secret(path, self.file, f"{place}.{each}")
                if network.security == "wpa2-psk" and not 8 <= len(text.encode()) <= 63:
                    self._fail(f"{place}.{each}", f"{path}: a passphrase of WPA2 has 8 to 63 characters")
        for each in ("ca", "certificate", "key"):
            path = getattr(network, each)
            if path is not None:
                self._readable(path, f"{place}.{each}", private=each == "key")

    def _readable(self, path: Path, place: str, *, private: bool) -> None:
        try:
            with path.open("rb") as opened:
                mode = os.fstat(opened.fileno()).st_mode
        except OSError as e:
            raise ConfigError(self.file, place, f"{path}: {e.strerror}") from e
        if not path.is_absolute():
            self._fail(place, f"{path} is not an absolute path")
        if private:
            _private(mode, path, self.file, place)

    def _fail(self, place: str, problem: str) -> NoReturn:
        raise ConfigError(self.file, place, problem)
