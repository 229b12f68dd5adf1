"""The authority: a folder with its key, its certificate, its register and the list of what it revoked."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fibrewatch.files import Content, readable_by_others, write_together
from fibrewatch.identity import IdentityError
from fibrewatch.wire import AgentId
from fibrewatch_collector.identity import certificates
from fibrewatch_collector.identity.certificates import Kind, PublicKey, Signer, common_name, lasting
from fibrewatch_collector.identity.register import Issued, Register

CERTIFICATE, KEY, REVOKED, REGISTER = "ca.pem", "ca.key", "crl.pem", "register.db"
LASTS_S = 7300 * 86400.0
SERVER_LASTS_S = 3650 * 86400.0
_TAKEOVER_LASTS_S = 300.0
COLLECTOR = "collector"
"""The collector's common name: no box's, since theirs have slashes."""


def utc_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


def create(folder: Path, name: str, now: datetime) -> "Authority":
    """A new authority in a folder that has none.

    Raises:
        IdentityError: There is one.
        OSError: It can't be written; nothing was.
    """
    if (folder / KEY).exists() or (folder / CERTIFICATE).exists():
        raise IdentityError(f"{folder}: there is an authority already: boxes that trust it would be lost")
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    key = certificates.new_key()
    made = certificates.root(name, key, lasting(now, LASTS_S))
    contents = {
        folder / CERTIFICATE: Content(certificates.pem(made).encode()),
        folder / REVOKED: Content(certificates.revocations(Signer(made, key), [], now)),
        folder / KEY: Content(certificates.key_pem(key), 0o600),
    }
    Register(folder / REGISTER).make()
    write_together(contents)
    return Authority(folder)


class Authority:
    """Opened for signing. Attributes are for reading.

    Attributes:
        certificate: Its own.
        register: What it issued.
    """

    def __init__(self, folder: Path, clock: Callable[[], datetime] = utc_now) -> None:
        """Reads key and certificate.

        Raises:
            IdentityError: There is none, they don't belong together, or others may read the key.
        """
        self.folder, self._clock = folder, clock
        try:
            if readable_by_others(folder / KEY):
                raise IdentityError(f"{folder / KEY}: others may read it: chmod 600, and think who has")
            self._key = certificates.read_key((folder / KEY).read_bytes())
            self.certificate = certificates.read_certificate((folder / CERTIFICATE).read_bytes())
        except OSError as e:
            hint = " (fibrewatch ca init makes one)" if isinstance(e, FileNotFoundError) else ""
            raise IdentityError(f"{e.filename}: {e.strerror}{hint}") from e
        if self._key.public_key() != self.certificate.public_key():
            raise IdentityError(f"{folder}: {KEY} is not the key of {CERTIFICATE}")
        self.register = Register(folder / REGISTER)

    @property
    def pem(self) -> str:
        """Its certificate."""
        return certificates.pem(self.certificate)

    @property
    def _signer(self) -> Signer:
        return Signer(self.certificate, self._key)

    def now(self) -> datetime:
        """By this machine's clock.

        Raises:
            IdentityError: The authority isn't valid then: the clock is wrong, or it has expired.
        """
        now = self._clock()
        first, last = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        if not first <= now <= last:
            raise IdentityError(
                f"this machine's clock says {now:%Y-%m-%d %H:%M}, the authority is valid from {first:%Y-%m-%d} to"
                f" {last:%Y-%m-%d}: set the clock"
            )
        return now

    def sign(self, data: bytes) -> bytes:
        """By its key."""
        return certificates.signature(self._key, data)

    def issue_box(self, agent: AgentId, request: str, lasts_s: float) -> str:
        """A box's certificate for the key of its request.

        Raises:
            IdentityError: The request is none, or another box's.
        """
        read = certificates.read_request(request)
        if common_name(read.subject) != str(agent):
            raise IdentityError(f"the request is for {common_name(read.subject)!r}, not for {agent}")
        key = read.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return self._issue(str(agent), key, "box", lasts_s)

    def issue_own(self, subject: str, kind: Kind, names: Sequence[str] = ()) -> tuple[str, bytes]:
        """Certificate and key of a server or of the collector."""
        key = certificates.new_key()
        return self._issue(subject, key.public_key(), kind, SERVER_LASTS_S, names), certificates.key_pem(key)

    def takeover(self, agent: AgentId) -> tuple[str, bytes]:
        """Certificate and key by which a box's connection is taken from it; good for minutes, never for renewing."""
        key = certificates.new_key()
        return self._issue(str(agent), key.public_key(), "takeover", _TAKEOVER_LASTS_S), certificates.key_pem(key)

    def _issue(self, subject: str, key: PublicKey, kind: Kind, lasts_s: float, names: Sequence[str] = ()) -> str:
        """Recorded before it is given out: what nobody knows of can't be revoked."""
        now = self.now()
        made = certificates.leaf(subject, key, kind, self._signer, lasting(now, lasts_s), names=names)
        self.register.record(
            Issued(
                serial=made.serial_number, subject=subject, kind=kind, issued_at=now, not_after=made.not_valid_after_utc
            )
        )
        return certificates.pem(made)

    def own(self, certificate: str, agent: AgentId) -> x509.Certificate:
        """A box's certificate that is ours, in time and not revoked.

        Raises:
            IdentityError: It is not.
        """
        read, now = certificates.read_certificate(certificate), self.now()
        certificates.check_issued(read, self.certificate)
        if common_name(read.subject) != str(agent):
            raise IdentityError("the certificate is another box's")
        if not read.not_valid_before_utc <= now <= read.not_valid_after_utc:
            raise IdentityError("the certificate's time is over: enrol the box again")
        if not self.register.is_good(read.serial_number, str(agent)):
            raise IdentityError("the certificate was revoked")
        return read

    def revoke(self, agent: AgentId, reason: str) -> int:
        """Shuts a box out and writes the list anew; how many certificates that were still good.

        Raises:
            IdentityError: We never gave it one.
            OSError: The list can't be written; the box is shut out of the collector all the same.
        """
        known = self.register.issued(str(agent))
        if not known:
            raise IdentityError(f"{agent}: no certificate was ever given out for it")
        count = self.register.revoke(str(agent), self.now(), reason)
        self.write_revoked()
        return count

    def write_revoked(self) -> None:
        """crl.pem, from the register: all that is revoked and whose time isn't over."""
        now = self.now()
        entries = [
            (each.serial, each.revoked_at)
            for each in self.register.issued()
            if each.revoked_at is not None and each.not_after > now
        ]
        write_together({self.folder / REVOKED: Content(certificates.revocations(self._signer, entries, now))})
