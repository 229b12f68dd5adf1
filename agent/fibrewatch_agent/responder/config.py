"""The responder's configuration: a TOML file into frozen structs, checked as a whole before anything is served."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, NoReturn

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port, Rate, build, read_toml
from fibrewatch.errors import ConfigError
from fibrewatch.wire import ID_PATTERN
from fibrewatch_agent.responder.desk import Limits
from fibrewatch_agent.responder.gate import Firewall
from fibrewatch_agent.slots.messages import LONGEST_WAIT_S

_SITE = re.compile(rf"{ID_PATTERN}/{ID_PATTERN}")
_Positive = Annotated[int, Meta(ge=1, le=100_000)]


class TlsFiles(Struct, frozen=True, kw_only=True):
    """[control.tls]: PEM files; with `ca` a box may show a certificate that it signed, named territory/site/agent.

    Attributes:
        crl: What it has revoked (PEM); read anew when it changes. Past its date it lets no certificate in.
    """

    certificate: Path
    key: Path
    ca: Path | None = None
    crl: Path | None = None


class SiteConfig(Struct, frozen=True, kw_only=True):
    """[control.sites."territory/site"]: what differs there."""

    running: _Positive


class LimitsConfig(Struct, frozen=True, kw_only=True):
    """[control.limits]: as `desk.Limits`, how long a question may be held and a test may take.

    Attributes:
        connections: Of one address at once.
        quiet_s: A connection over which no whole request comes for so long is closed, in its TLS handshake too.
    """

    running_per_site: _Positive = 1
    queued: _Positive = 1000
    queued_per_agent: _Positive = 4
    duration_s: Annotated[Duration, Meta(ge=1, le=600)] = field(default=130.0, name="duration")
    wait_s: Annotated[Duration, Meta(ge=0, le=LONGEST_WAIT_S)] = field(default=LONGEST_WAIT_S, name="wait")
    lease_s: Annotated[Duration, Meta(ge=1, le=600)] = field(default=15.0, name="lease")
    claim_s: Annotated[Duration, Meta(ge=1, le=60)] = field(default=10.0, name="claim")
    margin_s: Annotated[Duration, Meta(ge=1, le=60)] = field(default=5.0, name="margin")
    aging_s: Annotated[Duration, Meta(ge=1)] = field(default=300.0, name="aging")
    connections: _Positive = 512
    quiet_s: Annotated[Duration, Meta(ge=1, le=60)] = field(default=10.0, name="quiet")

    def for_desk(self, sites: dict[str, SiteConfig]) -> Limits:
        """As the desk takes them."""
        return Limits(
            running_per_site=self.running_per_site,
            sites={name: site.running for name, site in sites.items()},
            queued=self.queued,
            queued_per_agent=self.queued_per_agent,
            lease_s=self.lease_s,
            claim_s=self.claim_s,
            margin_s=self.margin_s,
            aging_s=self.aging_s,
        )


class ControlConfig(Struct, frozen=True, kw_only=True):
    """[control]: slots for tests.

    Attributes:
        capacity: What the responder's own uplink carries, bytes per second.
        ports: First and last of those that slots are served on.
        tokens: File of boxes and their tokens' digests.
    """

    capacity: Annotated[Rate, Meta(gt=0)]
    listen: str = "127.0.0.1"
    port: Port = 5200
    ports: tuple[Port, Port] = (5210, 5399)
    tokens: Path | None = None
    tls: TlsFiles | None = None
    firewall: Firewall = "auto"
    limits: LimitsConfig = LimitsConfig()
    sites: dict[str, SiteConfig] = {}

    @property
    def port_range(self) -> range:
        """Those of `ports`."""
        return range(self.ports[0], self.ports[1] + 1)


class OpenConfig(Struct, frozen=True, kw_only=True):
    """[open]: iperf3 servers for everyone, without slots."""

    listen: str = "127.0.0.1"
    ports: tuple[Port, Port] = (5201, 5204)


class ReflectorSection(Struct, frozen=True, kw_only=True):
    """[reflector]: as the options of the same names."""

    listen: str = "127.0.0.1"
    port: Port = 862
    rate: _Positive = 500
    allow: tuple[str, ...] = ()
    allow_file: Path | None = None
    whole: tuple[str, ...] = ()
    key_file: Path | None = None


class ResponderFile(Struct, frozen=True, kw_only=True):
    """The file; what has no table is not served."""

    control: ControlConfig | None = None
    open: OpenConfig | None = None
    reflector: ReflectorSection | None = None


def load_responder(path: Path) -> ResponderFile:
    """Reads and checks the file.

    Raises:
        ConfigError: What is wrong, with file, place and value.
    """
    parsed = build(read_toml(path), ResponderFile, str(path))
    if parsed == ResponderFile():
        raise ConfigError(str(path), "", "nothing to serve: [control], [open] or [reflector] is missing")
    if parsed.control is not None:
        _Checker(str(path)).check(parsed.control, parsed.open)
    for place, section in (("open", parsed.open), ("reflector", parsed.reflector)):
        if section is not None:
            _Checker(str(path)).address(f"{place}.listen", section.listen)
    if parsed.open is not None and parsed.open.ports[0] > parsed.open.ports[1]:
        raise ConfigError(str(path), "open.ports", "the first is greater than the last")
    return parsed


class _Checker:
    """The rules that one field alone can't tell."""

    def __init__(self, file: str) -> None:
        self.file = file

    def check(self, control: ControlConfig, open_: OpenConfig | None) -> None:
        self.address("control.listen", control.listen)
        if not control.port_range:
            self._fail("control.ports", "the first is greater than the last")
        if control.port in control.port_range:
            self._fail("control.port", f"{control.port} is one of control.ports")
        if open_ is not None and set(control.port_range) & set(range(open_.ports[0], open_.ports[1] + 1)):
            self._fail("open.ports", "they overlap with control.ports")
        if control.tokens is None and (control.tls is None or control.tls.ca is None):
            self._fail("control", "no box could be known: tokens, or tls.ca for certificates, is missing")
        if control.tls is not None and control.tls.crl is not None and control.tls.ca is None:
            self._fail("control.tls.crl", "without tls.ca there are no certificates of boxes to revoke")
        if control.tls is None and not ipaddress.ip_address(control.listen).is_loopback:
            self._fail("control.tls", f"missing: on {control.listen} tokens would cross the line in clear")
        for name in control.sites:
            if _SITE.fullmatch(name) is None:
                self._fail("control.sites", f"{name!r} is not territory/site")

    def address(self, place: str, text: str) -> None:
        """Numeric only: a name could mean another address tomorrow."""
        try:
            ipaddress.ip_address(text)
        except ValueError:
            self._fail(place, f"{text!r} is not a numeric address")

    def _fail(self, place: str, problem: str) -> NoReturn:
        raise ConfigError(self.file, place, problem)
