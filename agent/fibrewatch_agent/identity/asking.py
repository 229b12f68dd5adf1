"""A box with a join token asks the authority for its certificate."""

import http.client
import ssl
import urllib.parse
from datetime import UTC, datetime

import msgspec

from fibrewatch.identity import MAX_BYTES, Bundle, IdentityError, JoinRequest, JoinToken, decode_token, fingerprint
from fibrewatch_agent.identity import keys
from fibrewatch_agent.identity.join import Joined

_TIMEOUT_S = 30.0


def by_token(word: str) -> Joined:
    """The key is made here and stays here.

    Raises:
        IdentityError: The token is bad, the authority is another one, can't be reached, or refuses.
    """
    token, key = decode_token(word), keys.new_key()
    asked = JoinRequest(agent=token.agent, secret=token.secret, request=keys.request(token.agent, key))
    authority = _authority(token)
    status, body = _call(token.url, "POST", "/v1/join", _trusting(authority), msgspec.json.encode(asked))
    if status != 200:
        raise IdentityError(f"{token.url} refuses: {_complaint(body)}")
    try:
        bundle = msgspec.json.decode(body, type=Bundle)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise IdentityError(f"{token.url}: its answer is no bundle: {e}") from e
    keys.check_bundle(bundle)
    if bundle.agent != token.agent or fingerprint(bundle.ca) != token.ca:
        raise IdentityError(f"{token.url}: its answer is for another box, or of another authority")
    return Joined(bundle, keys.key_pem(key))


def _authority(token: JoinToken) -> str:
    """Its certificate, known by the token's fingerprint: until then nothing secret is said."""
    unknown = ssl.create_default_context()
    unknown.check_hostname, unknown.verify_mode = False, ssl.CERT_NONE
    status, body = _call(token.url, "GET", "/v1/ca", unknown)
    try:
        if status == 200 and fingerprint(found := body.decode("ascii")) == token.ca:
            return found
    except UnicodeDecodeError:
        pass
    raise IdentityError(f"{token.url}: this is not the authority that made the token")


def _trusting(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _call(url: str, method: str, path: str, context: ssl.SSLContext, body: bytes | None = None) -> tuple[int, bytes]:
    where = urllib.parse.urlsplit(url)
    connection = http.client.HTTPSConnection(where.hostname or "", where.port, timeout=_TIMEOUT_S, context=context)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_BYTES)
    except ssl.SSLCertVerificationError as e:
        raise IdentityError(
            f"{url}: {e.verify_message}; this box's clock says {datetime.now(UTC):%Y-%m-%d %H:%M}"
        ) from e
    except (OSError, http.client.HTTPException) as e:
        raise IdentityError(f"{url}: {e}") from e
    finally:
        connection.close()


def _complaint(body: bytes) -> str:
    try:
        said = msgspec.json.decode(body, type=dict[str, str]).get("error", "")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = ""
    return said[:300] or "without a reason"
