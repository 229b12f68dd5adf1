"""Golden results of the probes that ask services and neighbours: each field of each is set, as a box would set it."""

from datetime import UTC, datetime
from typing import NamedTuple

from msgspec import Struct

from fibrewatch.measurement import Target
from fibrewatch.results import dhcp, dns, http, http_throughput, lan, ntp, tcp, tls


class Golden(NamedTuple):
    """A result and what is beside it in its measurement."""

    test: str
    target: Target | None
    result: Struct
    duration_s: float
    family: int | None = 4


WEB = Target(name="web", role="service", address="www.example.net")
GATEWAY = Target(name="gateway", role="gateway", address="192.0.2.1")

DNS = Golden(
    "resolver-site",
    Target(name="resolver", role="service", address="192.0.2.53"),
    dns.Result(
        resolver="192.0.2.53",
        transport="tcp",
        response_time=0.012873,
        lookup_time=0.031402,
        attempts=2,
        rcode=0,
        code="NOERROR",
        truncated=True,
        answers=5,
        answers_a=2,
        answers_aaaa=1,
        ttl_min=60,
        answer_size=1432,
        addresses=("198.51.100.7", "198.51.100.8", "2001:db8::7"),
        stamps="kernel",
    ),
    0.031552,
)
TCP = Golden(
    "connect",
    WEB,
    tcp.Result(resolve=0.004127, connect=0.010312, rtt=0.010187, retransmits=1),
    0.014530,
)
TLS = Golden(
    "certificate",
    WEB,
    tls.Result(
        resolve=0.003981,
        connect=0.010202,
        handshake=0.023718,
        rtt=0.010101,
        verified=False,
        problem="expired",
        certificate_left=-86400.0,
        certificate_until=datetime(2026, 11, 21, 20, 15, tzinfo=UTC),
        subject="www.example.net",
        issuer="Example CA 1",
        version="TLSv1.3",
        cipher="TLS_AES_256_GCM_SHA384",
        alpn="h2",
    ),
    0.038212,
)
HTTP = Golden(
    "portal",
    WEB,
    http.Result(
        resolve=0.004001,
        connect=0.010120,
        tls=0.024500,
        first_byte=0.031870,
        body=0.002114,
        total=0.113209,
        redirect=0.040604,
        redirects=1,
        rtt=0.010034,
        status=302,
        size=154,
        portal_detected=True,
        complete=False,
        version="HTTP/1.1",
        location="https://portal.example.net/login",
    ),
    0.113377,
)
HTTP_THROUGHPUT = Golden(
    "web-upload",
    WEB,
    http_throughput.Result(
        direction="up",
        streams=4,
        goodput=58_412_733.5,
        bound=60_100_250.0,
        goodput_error=0.021,
        stopped="converged",
        transferred=301_220_114,
        transfer_duration=4.1,
        warm_up=1.1,
        waiting=0.013,
        connect=0.010230,
        tls=0.021004,
        first_byte=0.412007,
        rtt_min=0.009914,
        retransmits=41,
        requests=12,
        redirects=1,
        status=200,
        cpu_local=0.31,
        congestion="cubic",
        location="https://upload.example.net/sink",
        intervals=(57.9e6, 58.8e6, 58.5e6),
        complete=False,
    ),
    6.204417,
)
NTP = Golden(
    "time",
    Target(name="time", role="service", address="ntp.example.net"),
    ntp.Result(
        resolve=0.004410,
        offset=-0.000412,
        uncertainty=0.021077,
        delay=0.010914,
        stratum=2,
        synchronised=True,
        leap=1,
        root_delay=0.015518,
        root_dispersion=0.007861,
        server_precision=1.1920928955078125e-07,
        refid="192.0.2.123",
        kiss="RATE",
        version=4,
        stamps="kernel",
    ),
    0.015610,
    6,
)
LAN = Golden(
    "gateway-arp",
    GATEWAY,
    lan.Result(
        reachable=True,
        sent=3,
        lost=1,
        late=1,
        rtt_min=0.000211,
        rtt_p50=0.000240,
        rtt_max=0.000305,
        conflict=True,
        address="192.0.2.1",
        interface="eth0",
        mac="02:00:5e:00:53:01",
        macs=("02:00:5e:00:53:01", "02:00:5e:00:53:02"),
        method="arp",
        state="REACHABLE",
        stamps="kernel",
    ),
    0.612004,
)
DHCP = Golden(
    "lease",
    None,
    dhcp.Result(
        offer_time=0.014223,
        ack_time=0.011005,
        transaction_time=0.025228,
        attempts=1,
        servers=2,
        rogue_servers=1,
        lease_time=3600.0,
        interface="eth0",
        server="192.0.2.1",
        address="192.0.2.77",
        routers=("192.0.2.1",),
        resolvers=("192.0.2.53", "198.51.100.53"),
        released=True,
        offers=(
            dhcp.Offer(
                server="192.0.2.1",
                offer_time=0.014223,
                address="192.0.2.77",
                source="192.0.2.1",
                mac="02:00:5e:00:53:01",
                netmask="255.255.255.0",
                lease_time=3600.0,
                routers=("192.0.2.1",),
                resolvers=("192.0.2.53", "198.51.100.53"),
            ),
            dhcp.Offer(server="192.0.2.66", offer_time=0.020118, address="192.0.2.200"),
        ),
        stamps="kernel",
    ),
    4.051020,
)
SERVICES = {
    "dns": DNS,
    "tcp": TCP,
    "tls": TLS,
    "http": HTTP,
    "http_throughput": HTTP_THROUGHPUT,
    "ntp": NTP,
    "lan": LAN,
    "dhcp": DHCP,
}
