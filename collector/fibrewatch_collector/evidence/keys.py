"""Keys of Ed25519 (RFC 8032) that sign packs: made, read, told by their fingerprint."""

import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fibrewatch_collector.evidence import EvidenceError
from fibrewatch_collector.ledger import certificates
from fibrewatch_collector.ledger.certificates import Certificate, Sealed

CONTEXT = b"fibrewatch evidence pack, format 1\n"
"""Stands before what is signed, so that no signature made for something else ever fits."""
_FINGERPRINT = re.compile(r"SHA256:[0-9a-f]{64}")
_MODE = 0o600


def make(path: Path) -> Ed25519PrivateKey:
    """Makes a key in a new file that its owner alone can read.

    Raises:
        EvidenceError: There is a file already, or it can't be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:
            file.write(pem)
    except FileExistsError as e:
        raise EvidenceError(f"{path}: is there already; a key is never overwritten") from e
    except OSError as e:
        raise EvidenceError(f"{path}: {e.strerror}") from e
    return key


def read(path: Path) -> Ed25519PrivateKey:
    """A key that nobody but its owner can read.

    Raises:
        EvidenceError: It is none, or others can read it.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            pem = file.read(1 << 16)
    except OSError as e:
        raise EvidenceError(f"{path}: {e.strerror}") from e
    if mode & 0o077:
        raise EvidenceError(f"{path}: others than its owner may use it (mode {mode:04o}): chmod 600")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise EvidenceError(f"{path}: is no private key in PEM without a password") from e
    if not isinstance(key, Ed25519PrivateKey):
        raise EvidenceError(f"{path}: is a key of another kind than Ed25519")
    return key


def public_pem(key: Ed25519PublicKey) -> bytes:
    """As OpenSSL reads it."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def read_public(pem: bytes) -> Ed25519PublicKey:
    """A public key.

    Raises:
        EvidenceError: It is none of Ed25519, or is written in another way than `public_pem` does.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as e:
        raise EvidenceError("is no public key in PEM") from e
    if not isinstance(key, Ed25519PublicKey):
        raise EvidenceError("is a key of another kind than Ed25519")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of its DER form (SubjectPublicKeyInfo): `openssl pkey -pubin -outform DER | sha256sum`."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"SHA256:{hashlib.sha256(der).hexdigest()}"


def wanted(text: str) -> str:
    """The fingerprint of the key that somebody trusts: said outright, or of the public key in a file.

    Raises:
        EvidenceError: It is neither.
    """
    if _FINGERPRINT.fullmatch(text):
        return text
    try:
        return fingerprint(read_public(Path(text).read_bytes()))
    except OSError as e:
        raise EvidenceError(f"{text[:200]}: neither a fingerprint SHA256:… nor a file ({e.strerror})") from e
    except EvidenceError as e:
        raise EvidenceError(f"{text[:200]}: {e}") from e


CERTIFICATE = b"fibrewatch acceptance certificate, format 1\n"


def sealer(path: Path) -> Callable[[Certificate], Sealed]:
    """Seals certificates with the key of a file.

    Raises:
        EvidenceError: It can't be used.
    """
    key = read(path)
    public = key.public_key()

    def seal(certificate: Certificate) -> Sealed:
        signature = key.sign(CERTIFICATE + certificates.encode(certificate)).hex()
        return certificates.seal(
            certificate, key=fingerprint(public), public=public_pem(public).decode(), signature=signature
        )

    return seal


def broken(sealed: Sealed, wanted_: str | None) -> str | None:
    """What is wrong with a certificate; None: nothing. Without a signature only its hash is told."""
    text = sealed.text.encode()
    if hashlib.sha256(text).hexdigest() != sealed.sha256:
        return "its text is not what was hashed"
    if not sealed.signature:
        return None if wanted_ is None else "it is not signed"
    try:
        public = read_public(sealed.public.encode())
        public.verify(bytes.fromhex(sealed.signature), CERTIFICATE + text)
    except (EvidenceError, InvalidSignature, ValueError):
        return "its text is not what was signed"
    if sealed.key != fingerprint(public):
        return f"it names another key than the one that signed it, {fingerprint(public)}"
    if wanted_ is not None and wanted_ != sealed.key:
        return f"it is signed with another key: {sealed.key}, not {wanted_}"
    return None


def sign(key: Ed25519PrivateKey, manifest: bytes) -> bytes:
    """In hexadecimal, a line."""
    return key.sign(CONTEXT + manifest).hex().encode() + b"\n"


def signed(key: Ed25519PublicKey, manifest: bytes, signature: bytes) -> bool:
    """Whether the signature is this key's, of this very manifest."""
    if not re.fullmatch(rb"[0-9a-f]{128}\n", signature):
        return False
    try:
        key.verify(bytes.fromhex(signature.decode().strip()), CONTEXT + manifest)
    except InvalidSignature:
        return False
    return True
