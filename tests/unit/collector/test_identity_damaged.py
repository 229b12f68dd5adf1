"""Requests, certificates and bundles that were damaged anywhere are refused; none ends the collector or the command."""

import base64
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from fibrewatch import wire
from fibrewatch.identity import Bundle, Endpoint, IdentityError, JoinRequest, RenewRequest, decode_token
from fibrewatch.wire import AgentId
from fibrewatch_agent.identity import join, keys
from fibrewatch_collector.identity import authority, certificates, enrolment, renewal
from fibrewatch_collector.identity.settings import Settings

BOX = AgentId("paris", "cargo", "box-01")
SETTINGS = Settings(broker=Endpoint(host="localhost"))
SEED, DAMAGES = 8, 250


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> authority.Authority:
    return authority.create(tmp_path_factory.mktemp("damaged") / "authority", "ours", datetime.now(UTC))


@pytest.fixture(scope="module")
def bundle(ours: authority.Authority) -> Bundle:
    return enrolment.offline_bundle(ours, SETTINGS, BOX)


def asked(bundle: Bundle) -> RenewRequest:
    """A request that would be granted."""
    fresh, key = keys.new_key(), keys.read_key((bundle.key or "").encode())
    text = keys.request(str(BOX), fresh)
    return RenewRequest(request=text, certificate=bundle.certificate, signature=keys.signature(key, text))


def damaged(pem: str, rng: random.Random) -> Iterator[str]:
    """Its DER with some bytes changed, as PEM that is well-formed."""
    lines = pem.strip().splitlines()
    der = base64.b64decode("".join(lines[1:-1]))
    for _ in range(DAMAGES):
        spoilt = bytearray(der)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            spoilt[rng.randrange(len(spoilt))] = rng.choice((0, 1, 0x30, 0x80, 0xFF, rng.randrange(256)))
        if spoilt != der:
            yield "\n".join([lines[0], base64.encodebytes(spoilt).decode().replace("\n", ""), lines[-1], ""])


def test_a_request_for_renewal_that_is_damaged_anywhere_is_answered(ours: authority.Authority, bundle: Bundle) -> None:
    good, rng = asked(bundle), random.Random(SEED)
    assert renewal.renewed(ours, SETTINGS, BOX, wire.encode(good)).certificate is not None
    replace = msgspec.structs.replace
    bad = [replace(good, signature=each) for each in ("é" * 20, "A", "====", "", "AAAA")]
    bad += [replace(good, certificate=each) for each in damaged(good.certificate, rng)]
    key = keys.read_key((bundle.key or "").encode())
    bad += [replace(good, request=each, signature=keys.signature(key, each)) for each in damaged(good.request, rng)]
    for each in bad:
        assert renewal.renewed(ours, SETTINGS, BOX, wire.encode(each)).refused, each
    for payload in (b"", b"\xff", b"[" * 100_000, b'{"x":' + b"[" * 100_000):
        assert renewal.renewed(ours, SETTINGS, BOX, payload).refused


def test_a_damaged_request_to_join_uses_no_token_up(ours: authority.Authority) -> None:
    settings = msgspec.structs.replace(SETTINGS, join=msgspec.convert({"names": ["localhost"]}, type=_join()))
    token = decode_token(enrolment.new_token(ours, settings, BOX))
    text, rng = keys.request(str(BOX), keys.new_key()), random.Random(SEED)
    for each in damaged(text, rng):
        with pytest.raises(IdentityError):
            enrolment.join(ours, settings, JoinRequest(agent=str(BOX), secret=token.secret, request=each))
    assert enrolment.join(ours, settings, JoinRequest(agent=str(BOX), secret=token.secret, request=text)).certificate


def _join() -> type[msgspec.Struct]:
    from fibrewatch_collector.identity.settings import Join

    return Join


def test_a_bundle_with_any_byte_changed_is_refused_or_means_the_same(bundle: Bundle, tmp_path: Path) -> None:
    raw, path, rng = msgspec.json.encode(bundle), tmp_path / "bundle", random.Random(SEED)
    path.touch(0o600)
    for at in range(0, len(raw), 5):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ (1 << rng.randrange(8))]) + raw[at + 1 :])
        try:
            read = join.from_bundle(path).bundle
        except IdentityError:
            continue
        assert read == bundle, at
    unpaired = {"é": "non-ASCII", "A": "cut", "": "none"}
    for signature in unpaired:
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(bundle, signature=signature)))
        with pytest.raises(IdentityError, match="its signature does not fit"):
            join.from_bundle(path)
    path.write_bytes(b'{"x":' + b"[" * 50_000)
    with pytest.raises(IdentityError, match="no bundle"):
        join.from_bundle(path)


def test_the_list_of_revoked_certificates_lasts_as_long_as_its_authority(ours: authority.Authority) -> None:
    """Mosquitto lets nobody in once its list is past its time."""
    from cryptography import x509

    ours.write_revoked()
    found = x509.load_pem_x509_crl((ours.folder / authority.REVOKED).read_bytes())
    assert found.next_update_utc == ours.certificate.not_valid_after_utc
    assert found.is_signature_valid(certificates.read_certificate(ours.pem).public_key())  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["fibrewatch1.é", "fibrewatch1." + "W1tb" * 9000, "fibrewatch1.", "hello", "\0"])
def test_a_damaged_token_is_one_line(word: str) -> None:
    with pytest.raises(IdentityError, match="this is no join token"):
        decode_token(word)
