"""`fibrewatch-agent join`: from a bundle or a token to a box that can start; checked before anything is written."""

import os
import ssl
import stat
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from fibrewatch.files import Content, Owner, write_together
from fibrewatch.identity import MAX_BYTES, Bundle, IdentityError, fingerprint
from fibrewatch.wire import agent_id
from fibrewatch_agent.config import load_config
from fibrewatch_agent.identity import keys
from fibrewatch_agent.services import certificate

_SERVICE_USER = "fibrewatch-agent"


def _now() -> datetime:
    return datetime.now(UTC)


class Place(NamedTuple):
    """Where the files go."""

    config: Path
    state_dir: Path

    @property
    def ca(self) -> Path:
        """Beside the config."""
        return self.config.with_name("ca.pem")

    @property
    def own(self) -> Path:
        """Key and certificate in one file, where the service may change it."""
        return self.state_dir / "box.pem"


class Joined(NamedTuple):
    """A bundle, and the key that its certificate is for."""

    bundle: Bundle
    key: bytes


def from_bundle(path: Path) -> Joined:
    """A file with a key inside.

    Raises:
        IdentityError: It is no bundle, was changed, or others may read it.
    """
    try:
        mode, data = path.stat().st_mode, path.read_bytes()[: MAX_BYTES + 1]
    except OSError as e:
        raise IdentityError(f"{path}: {e.strerror}") from e
    try:
        bundle = msgspec.json.decode(data, type=Bundle)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise IdentityError(f"{path}: this is no bundle, or not the whole of it: {e}") from e
    if bundle.key is None:
        raise IdentityError(f"{path}: there is no key in it: a box without one joins by --token")
    if stat.S_IMODE(mode) & 0o077:
        raise IdentityError(f"{path}: others may read the key in it: chmod 600 {path}, and think who has")
    try:
        keys.check_bundle(bundle)
    except IdentityError as e:
        raise IdentityError(f"{path}: {e}") from e
    return Joined(bundle, bundle.key.encode())


def write(joined: Joined, place: Place, *, replace: bool = False, clock: Callable[[], datetime] = _now) -> list[str]:
    """Puts everything in place; says what was done.

    Raises:
        IdentityError: The certificate isn't good now, or the box is another one already.
        OSError: No room, no permission; nothing was changed.
    """
    bundle = joined.bundle
    keys.check_certificate(bundle.certificate, bundle.ca, bundle.agent, keys.read_key(joined.key))
    _check_time(bundle, clock())
    keep = place.config.exists() and not replace
    if keep:
        _check_same(place.config, bundle)
    if place.own.exists() and not replace:
        _check_own(place.own, bundle)
    owner = _owner(place.state_dir)
    own = joined.key + bundle.certificate.encode()
    contents = {place.ca: Content(bundle.ca.encode()), place.own: Content(own, 0o600, owner)}
    if not keep:
        contents[place.config] = Content(_config(bundle, place).encode(), 0o640, owner and (0, owner[1]))
    place.config.parent.mkdir(parents=True, exist_ok=True)
    place.state_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    write_together(contents)
    return _done(bundle, place, keep=keep)


def _done(bundle: Bundle, place: Place, *, keep: bool) -> list[str]:
    lines = [f"{bundle.agent}: joined; the authority's fingerprint is {fingerprint(bundle.ca)}"]
    if not keep:
        return [*lines, f"{place.config}: written; edit it, then: systemctl enable --now fibrewatch-agent"]
    lines.append(f"{place.config}: left as it is")
    tls = load_config(place.config).broker.tls
    if tls is None or tls.certificate != place.own:
        lines.append(f'its [broker.tls] must say: ca = "{place.ca}", certificate = key = "{place.own}"')
    return lines


def _check_time(bundle: Bundle, now: datetime) -> None:
    text = bundle.certificate
    begin, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
    read = certificate.read(ssl.PEM_cert_to_DER_cert(text[begin:end]))
    if now < read.not_before:
        raise IdentityError(
            f"this box's clock says {now:%Y-%m-%d %H:%M}, but the certificate was made on {read.not_before:%Y-%m-%d}:"
            " set the clock (timedatectl set-time, or wait for NTP)"
        )
    if now > read.not_after:
        raise IdentityError(
            f"the certificate's time was over on {read.not_after:%Y-%m-%d}; this box's clock says {now:%Y-%m-%d}: set"
            " the clock, or enrol the box again"
        )


def _check_same(path: Path, bundle: Bundle) -> None:
    try:
        found = tomllib.loads(path.read_text("utf-8")).get("agent", {})
        named = "/".join(str(found.get(each)) for each in ("territory", "site", "name"))
    except (OSError, ValueError) as e:
        raise IdentityError(f"{path}: {e} (--replace writes a new one)") from e
    if named != bundle.agent:
        raise IdentityError(f"{path}: this box is {named}, and not {bundle.agent} (--replace makes it that one)")


def _check_own(path: Path, bundle: Bundle) -> None:
    """Also where the config is gone: beside the key lies what that box measured."""
    if (named := keys.named(path.read_bytes())) not in (None, bundle.agent):
        raise IdentityError(f"{path}: this box is {named}, and not {bundle.agent} (--replace makes it that one)")


def _config(bundle: Bundle, place: Place) -> str:
    """What the bundle begins with, below who the box is and where the broker.

    Raises:
        IdentityError: It says that itself, or is not TOML.
    """
    try:
        given = tomllib.loads(bundle.config)
    except tomllib.TOMLDecodeError as e:
        raise IdentityError(f"the bundle's config is no TOML: {e}") from e
    for table in {"agent", "broker"} & given.keys():
        raise IdentityError(f"the bundle's config has [{table}], which joining writes")
    agent, q = agent_id(bundle.agent), _quoted
    return (
        f"# Written by `fibrewatch-agent join` on {bundle.made_at:%Y-%m-%d}; see docs/install-box.md.\n\n"
        f"[agent]\nterritory = {q(agent.territory)}\nsite = {q(agent.site)}\nname = {q(agent.agent)}\n"
        f"state_dir = {q(str(place.state_dir))}\n\n"
        f"[broker]\nhost = {q(bundle.broker.host)}\nport = {bundle.broker.port}\n\n"
        f"[broker.tls]\nca = {q(str(place.ca))}\ncertificate = {q(str(place.own))}\nkey = {q(str(place.own))}\n\n"
        f"{bundle.config}"
    )


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    return msgspec.json.encode(text).decode()


def _owner(state_dir: Path) -> Owner | None:
    """Who the service runs as, when we are root: the folder's owner, else its user."""
    if os.geteuid() != 0:
        return None
    if state_dir.exists():
        found = state_dir.stat()
        return found.st_uid, found.st_gid
    import pwd

    try:
        user = pwd.getpwnam(_SERVICE_USER)
    except KeyError:
        return None
    return user.pw_uid, user.pw_gid
