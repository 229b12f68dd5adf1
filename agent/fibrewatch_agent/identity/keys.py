"""Keys, requests and signatures by `cryptography`: for the command line and a short-lived child, never resident."""

import base64
import binascii

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fibrewatch.identity import Bundle, IdentityError, signed_part

Key = ec.EllipticCurvePrivateKey


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
    except (ValueError, TypeError) as e:
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
    except (ValueError, TypeError, InvalidSignature) as e:
        raise IdentityError("the certificate is of another authority") from e
    names = mine.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [each.value for each in names] != [agent]:
        raise IdentityError(f"the certificate is not for {agent}")
    if mine.public_key() != key.public_key():
        raise IdentityError("the certificate is for another key")


def check_bundle(bundle: Bundle) -> None:
    """It is as its authority made it.

    Raises:
        IdentityError: Something in it was changed.
    """
    key = _read(bundle.ca).public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            signed = base64.b64decode(bundle.signature, validate=True)
            return key.verify(signed, signed_part(bundle), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, binascii.Error):
        pass
    raise IdentityError("it is not as the authority made it: its signature does not fit")


def _read(text: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError as e:
        raise IdentityError("there is no certificate in it") from e
