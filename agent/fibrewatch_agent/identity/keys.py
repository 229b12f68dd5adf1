"""Keys, requests and signatures by `cryptography`: for the command line and a short-lived child, never resident."""

import base64

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fibrewatch.identity import Bundle, IdentityError, signed_part

Key = ec.EllipticCurvePrivateKey


_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)
"""What `cryptography` raises for bytes that are not what they should be, some of it only when a part is asked for."""


def new_key() -> Key:
    """P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    """PKCS #8."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(text: bytes) -> Key:
    """The private key in a PEM text, which may hold a certificate too.

    Raises:
        IdentityError: There is none.
    """
    try:
        key = serialization.load_pem_private_key(text, None)
    except _UNREADABLE as e:
        raise IdentityError("there is no usable private key in it") from e
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise IdentityError("its key is not of an elliptic curve")
    return key


def request(agent: str, key: Key) -> str:
    """What the authority is asked with (PKCS #10), PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, agent)])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def signature(key: Key, text: str) -> str:
    """ECDSA with SHA-256, base64."""
    return base64.b64encode(key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))).decode()


def check_certificate(certificate: str, ca: str, agent: str, key: Key) -> None:
    """It is this box's, for this key, and of that authority.

    Raises:
        IdentityError: It is not.
    """
    mine, authority = _read(certificate), _read(ca)
    try:
        mine.verify_directly_issued_by(authority)
    except (InvalidSignature, *_UNREADABLE) as e:
        raise IdentityError("the certificate is of another authority") from e
    if [each.value for each in mine.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] != [agent]:
        raise IdentityError(f"the certificate is not for {agent}")
    if mine.public_key() != key.public_key():
        raise IdentityError("the certificate is for another key")


def named(text: bytes) -> str | None:
    """Whose certificate is in a PEM text; None where none can be read."""
    try:
        names = x509.load_pem_x509_certificate(text).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except _UNREADABLE:
        return None
    return str(names[0].value) if len(names) == 1 else None


def check_bundle(bundle: Bundle) -> None:
    """It is as its authority made it.

    Raises:
        IdentityError: Something in it was changed.
    """
    ca = _read(bundle.ca)
    try:
        if isinstance(key := ca.public_key(), ec.EllipticCurvePublicKey):
            signed = base64.b64decode(bundle.signature, validate=True)
            return key.verify(signed, signed_part(bundle), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, *_UNREADABLE):  # base64's ValueError too
        pass
    raise IdentityError("it is not as the authority made it: its signature does not fit")


def _read(text: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except _UNREADABLE as e:
        raise IdentityError("there is no certificate in it") from e
