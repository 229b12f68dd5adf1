"""X.509 as the authority writes and reads it (RFC 5280), by `cryptography`. Pure but for chance."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fibrewatch.identity import IdentityError

Kind = Literal["box", "server", "collector", "takeover"]
Key = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey
BACKDATED = timedelta(days=1)
"""So long before it is made a certificate is good already, unless it is a short one."""
_USES = {
    "box": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "server": [ExtendedKeyUsageOID.SERVER_AUTH],
    "collector": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "takeover": [ExtendedKeyUsageOID.CLIENT_AUTH],
}


_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)
"""What `cryptography` raises for bytes that are not what they should be, some of it only when a part is asked for."""


def new_key() -> Key:
    """P-256: what Mosquitto, OpenSSL and a Pi all do fast."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    """PKCS #8, not encrypted: the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem(certificate: x509.Certificate) -> str:
    """As text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def read_key(text: bytes) -> Key:
    """A private key.

    Raises:
        IdentityError: It is none of ours.
    """
    try:
        key = serialization.load_pem_private_key(text, None)
    except _UNREADABLE as e:
        raise IdentityError("there is no usable private key in it") from e
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise IdentityError("its key is not of an elliptic curve")
    return key


def read_certificate(text: str | bytes) -> x509.Certificate:
    """The first certificate of a PEM text.

    Raises:
        IdentityError: There is none.
    """
    try:
        return x509.load_pem_x509_certificate(text.encode() if isinstance(text, str) else text)
    except _UNREADABLE as e:
        raise IdentityError("there is no certificate in it") from e


def read_request(text: str) -> x509.CertificateSigningRequest:
    """A PKCS #10 request that was signed by the key it is for.

    Raises:
        IdentityError: It is not one.
    """
    try:
        request = x509.load_pem_x509_csr(text.encode())
        key, _ = request.public_key(), common_name(request.subject)  # read only now, and may be anything
        sound = request.is_signature_valid
    except _UNREADABLE as e:
        raise IdentityError("this is no certificate request") from e
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
        raise IdentityError("the request's key is not of P-256 or P-384")
    if not sound:
        raise IdentityError("the request is not signed by its own key")
    return request


def common_name(subject: x509.Name) -> str:
    """Its one common name, or nothing."""
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def hosts(certificate: x509.Certificate) -> set[str]:
    """Names and addresses that a server's certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(each.value) for each in names}


def request_for(name: str, key: Key) -> str:
    """A PKCS #10 request, PEM."""
    made = x509.CertificateSigningRequestBuilder().subject_name(_name(name)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


class Signer(NamedTuple):
    """Whose certificate and key a signature is by."""

    certificate: x509.Certificate
    key: Key


class Time(NamedTuple):
    """From when to when a certificate is good."""

    begin: datetime
    end: datetime


def lasting(now: datetime, seconds: float) -> Time:
    """So long from now on, and from a little before, for boxes whose clock is slow."""
    return Time(now - min(BACKDATED, timedelta(seconds=seconds / 10)), now + timedelta(seconds=seconds))


def root(name: str, key: Key, time: Time) -> x509.Certificate:
    """The authority's own certificate: it may sign boxes, and no further authority."""
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(_name(name), key.public_key(), time).issuer_name(_name(name))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())


def leaf(
    subject: str, public_key: PublicKey, kind: Kind, signer: Signer, time: Time, *, names: Sequence[str] = ()
) -> x509.Certificate:
    """A certificate for one end; it never outlives its authority."""
    time = Time(time.begin, min(time.end, signer.certificate.not_valid_after_utc))
    builder = _builder(_name(subject), public_key, time).issuer_name(signer.certificate.subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(_USES[kind]), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(each) for each in names]), critical=False)
    return builder.sign(signer.key, hashes.SHA256())


def revocations(signer: Signer, revoked: Sequence[tuple[int, datetime]], now: datetime) -> bytes:
    """The list of revoked serial numbers, PEM (RFC 5280 §5).

    It lasts as long as its authority: Mosquitto lets nobody in once its list is past its time, and years may pass
    without a revocation to write it anew.
    """
    builder = x509.CertificateRevocationListBuilder().issuer_name(signer.certificate.subject)
    builder = builder.last_update(now - BACKDATED).next_update(signer.certificate.not_valid_after_utc)
    for serial, at in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def signature(key: Key, data: bytes) -> bytes:
    """ECDSA with SHA-256."""
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def check_signature(certificate: x509.Certificate, signed: bytes, data: bytes) -> None:
    """By the certificate's key.

    Raises:
        IdentityError: It is not.
    """
    try:
        if isinstance(key := certificate.public_key(), ec.EllipticCurvePublicKey):
            return key.verify(signed, data, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, *_UNREADABLE):
        pass
    raise IdentityError("the signature is not by that key")


def check_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """By that authority.

    Raises:
        IdentityError: It is another's.
    """
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_UNREADABLE) as e:
        raise IdentityError("the certificate is of another authority") from e


def _builder(subject: x509.Name, public_key: PublicKey, time: Time) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(time.begin).not_valid_after(time.end)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
