"""The shipped broker against what a box's holder, or somebody with a certificate of his own making, may try."""

import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fibrewatch.errors import WireError
from fibrewatch.wire import agent_id
from fibrewatch_collector.identity import certificates
from fibrewatch_collector.identity.authority import Authority
from tests.support.enrolled import Operator, Stranger, until

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
TODAY = certificates.Time(NOW - DAY, NOW + DAY)
MINE, OTHERS = "fibrewatch/v1/paris/cargo/box-01", "fibrewatch/v1/paris/cargo/box-02"
UP, DOWN = ("results", "status", "inventory", "renew"), ("ack", "config", "run", "renew")
FORGED = b"forged"


_numbers = count()


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    made = Operator(tmp_path_factory.mktemp("operator"), "box-01", "box-02")
    try:
        made.broker.start()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def ours(operator: Operator) -> Authority:
    return Authority(operator.authority)


def own(operator: Operator, ours: Authority, name: str, **how: object) -> Path:
    """Certificate and key of the operator's authority, as it would never make them."""
    key, path = certificates.new_key(), operator.folder / f"own-{next(_numbers)}.pem"
    path.write_bytes(certificates.pem(leaf(ours, name, key, **how)).encode() + certificates.key_pem(key))
    return path


def leaf(
    ours: Authority,
    name: str,
    key: certificates.Key,
    kind: certificates.Kind = "box",
    time: certificates.Time = TODAY,
) -> x509.Certificate:
    signer = certificates.Signer(ours.certificate, ours._key)
    return certificates.leaf(name, key.public_key(), kind, signer, time)


@contextmanager
def connected(operator: Operator, file: Path, version: int, **how: str) -> Iterator[Stranger]:
    made = Stranger(operator.broker.port, operator.authority / "ca.pem", file, protocol=version, **how)
    assert made.connect()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def collector(operator: Operator) -> Iterator[Stranger]:
    """As the collector hears and speaks."""
    ca, mine = operator.authority / "ca.pem", operator.authority / "collector.pem"
    made = Stranger(operator.broker.inner, ca, mine, identifier=f"collector-{next(_numbers)}")
    assert made.connect()
    for topic in ("fibrewatch/v1/+/+/+/up/#", "fibrewatch/v1/+/collector"):
        made.ask(topic)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("version", [paho.MQTTv31, paho.MQTTv311, paho.MQTTv5])
@pytest.mark.parametrize("identifier", ["paris/cargo/box-02", ""])
def test_by_no_version_and_no_name_is_a_box_another(
    operator: Operator, ours: Authority, version: int, identifier: str
) -> None:
    """Each channel of the other, plain and retained; shared, wildcard, $SYS subscriptions; will, user name, alias."""
    mine, other = (own(operator, ours, f"paris/cargo/box-0{number}") for number in (1, 2))
    identifier = identifier or ("x" if version == paho.MQTTv31 else "")  # MQTT 3.1 has no empty one
    with collector(operator) as hears, connected(operator, other, paho.MQTTv311) as honest:
        honest.ask(f"{OTHERS}/down/#")
        how = {"identifier": identifier, "will": f"{OTHERS}/up/status", "user": "collector"}
        with connected(operator, mine, version, **how) as box:
            for topic in (
                "#",
                "+/+/+/+/+/up/#",
                "$SYS/#",
                f"{OTHERS}/down/#",
                f"$share/g/{OTHERS}/down/#",
                "$share/g/#",
            ):
                box.client.subscribe(topic, 1)
            for channel in UP:
                for retain in (False, True):
                    box.say(f"{OTHERS}/up/{channel}", FORGED, retain=retain)
            for channel in DOWN:
                box.say(f"{OTHERS}/down/{channel}", FORGED)
                box.say(f"{MINE}/down/{channel}", FORGED, retain=True)
            for topic in (f"{MINE}/up/of-my-own", f"{MINE}/up/status/below", "fibrewatch/v1/paris/collector", "$SYS/x"):
                box.say(topic, FORGED, retain=True)
            if version == paho.MQTTv5:
                by_alias(box)
            hears.say(f"{OTHERS}/down/ack", b"for the other")
            until(lambda: any(payload == b"for the other" for _, payload in honest.heard), "what is the other's")
            box.say(f"{MINE}/up/results", b"mine")
            hears.say(f"{MINE}/down/ack", b"for me")
            until(lambda: (f"{MINE}/up/results", b"mine") in hears.heard, "its own word")
            box.ask(f"{MINE}/down/ack")
            hears.say(f"{MINE}/down/ack", b"for me")
            until(lambda: (f"{MINE}/down/ack", b"for me") in box.heard, "its own ear")
            assert not honest.ended
            ended = "Client paris/cargo/box-01 closed its connection"
            before = operator.broker.log.read_text().count(ended)
            box.vanish()
            until(lambda: operator.broker.log.read_text().count(ended) > before, "its end, which its will is due at")
        honest.say(f"{OTHERS}/up/results", b"the last")
        until(lambda: (f"{OTHERS}/up/results", b"the last") in hears.heard, "what came after all that")
        assert not [each for each in hears.heard if each[1] in (FORGED, b"will", b"by alias")]
        assert {payload for _, payload in honest.heard} == {b"for the other"}
        assert {topic for topic, _ in box.heard} == {f"{MINE}/down/ack"}
    with collector(operator) as late, connected(operator, other, paho.MQTTv311) as honest:
        honest.say(f"{OTHERS}/up/results", b"after what is retained")
        until(lambda: (f"{OTHERS}/up/results", b"after what is retained") in late.heard, "the mark")
        assert not [each for each in late.heard if each[1] in (FORGED, b"will")]


def by_alias(box: Stranger) -> None:
    """MQTT 5 §3.3.2.3.4: the topic once, then its number; the number of another's topic is as good as its name."""
    for number, topic in ((1, f"{MINE}/up/results"), (1, f"{OTHERS}/up/results"), (2, f"{OTHERS}/up/status")):
        properties = Properties(PacketTypes.PUBLISH)
        properties.TopicAlias = number
        for said in (topic, ""):
            payload = b"mine" if topic.startswith(MINE) else b"by alias"
            box.client.publish(said, payload, qos=1, properties=properties)


NAMES = [
    "+/+/+",
    "#",
    "paris/+/box-01",
    "paris/cargo/#",
    "paris/cargo/box-01/up/status/#",
    "+",
    "/",
    "x",
    "paris\0cargo",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_box_has_is_worth_nothing(operator: Operator, ours: Authority, name: str) -> None:
    """Enrolling refuses it; and if the authority's key signed it all the same, no rule of the broker is for it."""
    with pytest.raises(WireError):  # what `enrol` reads it by
        agent_id(name)
    try:
        file = own(operator, ours, name)
    except ValueError:  # X.509 as `cryptography` writes it has no such name
        return
    stranger = Stranger(operator.broker.port, operator.authority / "ca.pem", file)
    if not stranger.connect():
        return
    with collector(operator) as hears:
        for topic in ("#", f"{OTHERS}/down/#", f"$share/g/{OTHERS}/down/#"):
            stranger.client.subscribe(topic, 1)
        for topic in (f"{OTHERS}/up/results", f"{OTHERS}/down/ack"):
            stranger.client.publish(topic, FORGED, qos=1)
        hears.say(f"{OTHERS}/down/ack", b"for the other")
        honest = own(operator, ours, "paris/cargo/box-02")
        with connected(operator, honest, paho.MQTTv311) as box:
            box.say(f"{OTHERS}/up/results", b"after it")
            until(lambda: (f"{OTHERS}/up/results", b"after it") in hears.heard, "what came after")
        assert not [each for each in hears.heard if each[1] == FORGED] and not stranger.heard
    stranger.close()


def test_only_a_good_certificate_of_a_box_gets_in(operator: Operator, ours: Authority) -> None:
    """Of an intermediate authority, self-signed, a server's, too early, too late, of two names or none: all refused."""
    ca, box = operator.authority / "ca.pem", "paris/cargo/box-01"
    later, sooner = (certificates.Time(NOW + each * DAY, NOW + (each + 1) * DAY) for each in (1, -3))
    bad = {
        "a server's": own(operator, ours, box, kind="server"),
        "not yet": own(operator, ours, box, time=later),
        "no longer": own(operator, ours, box, time=sooner),
        "the broker's own": operator.authority / "server.pem",
    }
    for name, issuer in {"self-signed": None, "below a box": leaf_with_key(ours, box)}.items():
        key = certificates.new_key()
        signer = issuer or certificates.Signer(certificates.root(box, key, TODAY), key)
        file = operator.folder / f"{name}.pem"
        made = certificates.leaf(box, key.public_key(), "box", signer, TODAY)
        file.write_text(
            certificates.pem(made) + certificates.pem(signer.certificate) + certificates.key_pem(key).decode()
        )
        bad[name] = file
    for name, file in bad.items():
        for port in (operator.broker.port, operator.broker.inner):
            assert not Stranger(port, ca, file).connect(), name
    for name, made in {"two names": named(ours, box, "collector"), "none": named(ours)}.items():
        key, file = made[1], operator.folder / f"{name}.pem"
        file.write_bytes(certificates.pem(made[0]).encode() + certificates.key_pem(key))
        stranger = Stranger(operator.broker.inner, ca, file)
        with collector(operator) as hears:
            if stranger.connect():
                stranger.client.publish(f"{OTHERS}/down/ack", FORGED, qos=1)
                stranger.client.publish(f"{OTHERS}/up/status", FORGED, qos=1, retain=True)
                hears.say("fibrewatch/v1/paris/collector", b"after it", retain=False)
                until(lambda heard=hears.heard: any(each[1] == b"after it" for each in heard), "the mark")
            assert not [each for each in hears.heard if each[1] == FORGED], name
    good = Stranger(operator.broker.port, ca, own(operator, ours, box))
    assert good.connect()
    good.close()


def leaf_with_key(ours: Authority, name: str) -> certificates.Signer:
    """A box that signs certificates itself."""
    key = certificates.new_key()
    return certificates.Signer(leaf(ours, name, key), key)


def named(ours: Authority, *names: str) -> tuple[x509.Certificate, certificates.Key]:
    key = certificates.new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in names])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(ours.certificate.subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    return builder.sign(ours._key, hashes.SHA256()), key


def test_the_broker_s_certificate_is_made_anew_while_boxes_are_connected(operator: Operator, ours: Authority) -> None:
    """By `ca server` and SIGHUP: who is connected stays, who comes then sees the new one."""
    file, ca = operator.authority / "server.pem", operator.authority / "ca.pem"

    def serial() -> int:
        context = ssl.create_default_context(cafile=ca)
        context.load_cert_chain(mine)
        plain = socket.create_connection(("localhost", operator.broker.port), 30)
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            return int(str((secure.getpeercert() or {})["serialNumber"]), 16)

    mine, first = own(operator, ours, "paris/cargo/box-01"), certificates.read_certificate(file.read_bytes())
    with connected(operator, mine, paho.MQTTv311) as box, collector(operator) as hears:
        assert serial() == first.serial_number
        operator.ok("ca", "server", "localhost", "127.0.0.1", "--out", str(file))
        assert operator.broker.process is not None
        operator.broker.process.send_signal(signal.SIGHUP)
        until(lambda: serial() != first.serial_number, "the new certificate")
        box.say(f"{MINE}/up/results", b"still there")
        until(lambda: (f"{MINE}/up/results", b"still there") in hears.heard, "what the box says")
        assert not box.ended
