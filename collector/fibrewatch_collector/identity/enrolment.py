"""A box's way in: bundles for set-up without a line, tokens for boxes that make their own key."""

import base64
import secrets
from datetime import timedelta

from msgspec.structs import replace

from fibrewatch.identity import Bundle, IdentityError, JoinRequest, JoinToken, encode_token, fingerprint, signed_part
from fibrewatch.wire import AgentId, agent_id
from fibrewatch_collector.identity import certificates
from fibrewatch_collector.identity.authority import Authority
from fibrewatch_collector.identity.settings import Settings

_SECRET_BYTES = 32


def offline_bundle(authority: Authority, settings: Settings, agent: AgentId, config: str | None = None) -> Bundle:
    """With a key inside: the box needs to reach nobody but the broker."""
    key = certificates.new_key()
    request = certificates.request_for(str(agent), key)
    bundle = _bundle(authority, settings, agent, request, config)
    return _signed(authority, replace(bundle, key=certificates.key_pem(key).decode()))


def new_token(authority: Authority, settings: Settings, agent: AgentId) -> str:
    """One word for whoever sets the box up; it is good once.

    Raises:
        IdentityError: [join] says nowhere to go.
    """
    if settings.join is None:
        raise IdentityError("authority.toml: [join] is missing: where boxes ask for their certificate")
    now, secret = authority.now(), secrets.token_urlsafe(_SECRET_BYTES)
    authority.register.add_token(secret, str(agent), now, now + timedelta(seconds=settings.token_lasts_s))
    return encode_token(
        JoinToken(agent=str(agent), url=settings.join.url, ca=fingerprint(authority.pem), secret=secret)
    )


def join(authority: Authority, settings: Settings, asked: JoinRequest) -> Bundle:
    """What a box with a token gets.

    Raises:
        IdentityError: Token or request are no good. A bad request doesn't use the token up.
    """
    agent = agent_id(asked.agent)
    if certificates.common_name(certificates.read_request(asked.request).subject) != asked.agent:
        raise IdentityError("the request is for another box")
    authority.register.use_token(asked.secret, asked.agent, authority.now())
    return _signed(authority, _bundle(authority, settings, agent, asked.request, None))


def _bundle(authority: Authority, settings: Settings, agent: AgentId, request: str, config: str | None) -> Bundle:
    certificate = authority.issue_box(agent, request, settings.box_lasts_s)
    authority.register.let_in(str(agent))
    return Bundle(
        agent=str(agent),
        broker=settings.broker,
        ca=authority.pem,
        certificate=certificate,
        config=starting_config() if config is None else config,
        made_at=authority.now().replace(microsecond=0),
    )


def _signed(authority: Authority, bundle: Bundle) -> Bundle:
    return replace(bundle, signature=base64.b64encode(authority.sign(signed_part(bundle))).decode())


def starting_config() -> str:
    """What every box can measure before anybody has told it more; who and where it is, `join` writes above it."""
    return '# More targets make the preset richer: docs/schedule.md.\n[schedule]\npreset = "site"\n'
