"""wifi_onboarding: what a client goes through from the scan to the first byte, each phase's time, and where it failed.

Phases of IEEE Std 802.11-2020 §11.3 and §12.7.6 (4-way handshake), IEEE Std 802.1X, RFC 2131, RFC 826, RFC 8952.
"""

import ipaddress
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric

MODE = "burst"

Phase = Literal[
    "scan",
    "authentication",
    "association",
    "eap",
    "handshake",
    "dhcp",
    "gateway",
    "dns",
    "portal",
    "first_byte",
    "fast",
    "roam",
]
PHASES: tuple[Phase, ...] = get_args(Phase)
Network = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.-]{1,63}\Z")]
"""A name in the radio helper's configuration."""
Interface = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.-]{1,15}\Z")]
"""IFNAMSIZ, and nothing that means something elsewhere."""
Url = Annotated[str, Meta(pattern=r"\Ahttps?://[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?(/[\x21-\x7e]{0,1000})?\Z")]
Host = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,253}\Z")]
Address = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=200)]
Socket = Annotated[str, Meta(pattern=r"\A/[\x21-\x7e]{1,100}\Z")]


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long each part may take, seconds.

    Attributes:
        join: All between the start and the keys.
        http: Each of the two: the test for portals and the first byte.
    """

    join_s: Annotated[Duration, Meta(ge=1, le=60)] = field(default=20.0, name="join")
    dhcp_s: Annotated[Duration, Meta(ge=1, le=30)] = field(default=10.0, name="dhcp")
    gateway_s: Annotated[Duration, Meta(ge=0.5, le=30)] = field(default=3.0, name="gateway")
    dns_s: Annotated[Duration, Meta(ge=0.5, le=30)] = field(default=5.0, name="dns")
    http_s: Annotated[Duration, Meta(ge=0.5, le=30)] = field(default=10.0, name="http")

    def longest_s(self, *, fast: bool, roam: bool) -> float:
        """All of it, each part having taken its time."""
        return self.join_s * (1 + fast + roam) + self.dhcp_s + self.gateway_s + self.dns_s + 2 * self.http_s


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of wifi_onboarding; the test's interface is the radio, the helper's own choice unless set.

    Attributes:
        network: Its name in the radio helper's configuration, which has the SSID and the secrets.
        fast: After all that, leave and come back with the keys that are still known (PMKSA).
        roam: Last, move to another access point of the network where one is heard well enough, by fast transition
            (802.11r) where both offer that.
        check: Where the test for captive portals is; None: neither names nor HTTP are tried.
        check_text: What it answers; None: status 204 without a body.
        url: What is fetched for the first byte; None: the first byte of the check's answer counts.
        name: Asked of the network's resolver; None: the host of `check`.
        resolver: Numeric; None: the first that DHCP, or the router's advertisement, names.
        socket: The radio helper's.
    """

    network: Network
    fast: bool = True
    roam: bool = True
    check: Url | None = None
    check_text: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    url: Url | None = None
    name: Host | None = None
    resolver: Address | None = None
    limits: Limits = Limits()
    socket: Socket = "/run/fibrewatch-radio/helper.sock"

    def __post_init__(self) -> None:
        """Raises ValueError for a resolver that is no numeric address."""
        numeric(self.resolver)


def numeric(address: str | None) -> None:
    """Raises ValueError for what is no numeric address."""
    if address is not None:
        ipaddress.ip_address(address)


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One client's way; what it did not reach, or need, is None.

    The phases are those of the attempt that succeeded, or of the last; `scan` has all that went before it.
    """

    scan: Annotated[float | None, Metric("seconds", "From the start until an access point was chosen.", "lower")] = None
    authentication: Annotated[float | None, Metric("seconds", "Authentication, SAE's exchange included.", "lower")] = (
        None
    )
    association: Annotated[float | None, Metric("seconds", "Association.", "lower")] = None
    eap: Annotated[float | None, Metric("seconds", "From association to EAP's success.", "lower")] = None
    handshake: Annotated[float | None, Metric("seconds", "4-way handshake.", "lower")] = None
    join: Annotated[float | None, Metric("seconds", "From the start until the link carried data.", "lower")] = None
    dhcp: Annotated[float | None, Metric("seconds", "From DISCOVER to ACK, resent ones included.", "lower")] = None
    slaac: Annotated[
        float | None,
        Metric("seconds", "Without DHCP: until an IPv6 address by advertisement was usable.", "lower"),
    ] = None
    gateway: Annotated[
        float | None, Metric("seconds", "Until the gateway answered ARP, or IPv6's solicitation.", "lower")
    ] = None
    dns: Annotated[float | None, Metric("seconds", "Until the name was resolved.", "lower")] = None
    portal: Annotated[float | None, Metric("seconds", "The test for a captive portal.", "lower")] = None
    first_byte: Annotated[
        float | None, Metric("seconds", "From connecting to a server to its first byte.", "lower")
    ] = None
    total: Annotated[float | None, Metric("seconds", "All phases, when none failed.", "lower")] = None
    phases_passed: Annotated[Count | None, Metric("phases", "Phases that ended well.", "higher")] = None
    attempts: Annotated[Count | None, Metric("attempts", "Authentications begun until it was joined.", "lower")] = None
    portal_detected: Annotated[bool | None, Metric("", "1 when a captive portal answered.", "lower")] = None
    fast_scan: Annotated[float | None, Metric("seconds", "Coming back: until an access point was chosen.", "lower")] = (
        None
    )
    fast_authentication: Annotated[float | None, Metric("seconds", "Coming back: authentication.", "lower")] = None
    fast_association: Annotated[float | None, Metric("seconds", "Coming back: association.", "lower")] = None
    fast_eap: Annotated[
        float | None, Metric("seconds", "Coming back: EAP, None where known keys spared it.", "lower")
    ] = None
    fast_handshake: Annotated[float | None, Metric("seconds", "Coming back: 4-way handshake.", "lower")] = None
    fast_join: Annotated[
        float | None, Metric("seconds", "Coming back: from the start until the link carried data.", "lower")
    ] = None
    fast_cached: Annotated[
        bool | None,
        Metric("", "1 when known keys (PMKSA) spared the exchange of SAE or EAP.", "higher"),
    ] = None
    roam_authentication: Annotated[
        float | None, Metric("seconds", "Moving to another access point: authentication.", "lower")
    ] = None
    roam_association: Annotated[
        float | None, Metric("seconds", "Moving to another access point: reassociation.", "lower")
    ] = None
    roam_eap: Annotated[
        float | None, Metric("seconds", "Moving: EAP, None where fast transition or known keys spared it.", "lower")
    ] = None
    roam_handshake: Annotated[
        float | None, Metric("seconds", "Moving: 4-way handshake, None where fast transition spared it.", "lower")
    ] = None
    roam_join: Annotated[
        float | None, Metric("seconds", "Moving: from the order until the link carried data again.", "lower")
    ] = None
    roam_fast: Annotated[
        bool | None,
        Metric("", "1 when the move was a fast transition (802.11r), 0 when not.", "higher"),
    ] = None
    failed_phase: Phase | None = None
    status_code: Count | None = None
    """By which the access point refused authentication or association (IEEE Std 802.11-2020 §9.4.1.9)."""
    reason_code: Count | None = None
    """Of a deauthentication or disassociation (§9.4.1.7)."""
    ssid: Text | None = None
    bssid: Address | None = None
    frequency: Annotated[Count | None, Metric("megahertz", "Middle of the access point's primary channel.")] = None
    security: Text | None = None
    """Key management in use, as wpa_supplicant writes it."""
    roam_bssid: Address | None = None
    """Of the access point that it moved to."""
    address: Address | None = None
    router: Address | None = None
    resolver: Address | None = None
    interface: Text | None = None
