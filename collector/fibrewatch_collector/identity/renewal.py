"""The `renew` channel: a box whose certificate is good gets the next one."""

import base64
import logging

from fibrewatch import wire
from fibrewatch.errors import WireError
from fibrewatch.identity import IdentityError, RenewReply, RenewRequest
from fibrewatch.wire import AgentId
from fibrewatch_collector.identity import certificates
from fibrewatch_collector.identity.authority import Authority
from fibrewatch_collector.identity.settings import Settings

log = logging.getLogger(__name__)


def renewed(authority: Authority, settings: Settings, agent: AgentId, payload: bytes) -> RenewReply:
    """The answer to what came on a box's topic: whoever asks must hold the key that is in force."""
    try:
        certificate = _renewed(authority, settings, agent, wire.decode(payload, RenewRequest))
    except (IdentityError, WireError) as e:
        log.warning("agent=%s: no new certificate: %s", agent, e)
        return RenewReply(refused=str(e)[:300])
    log.info("agent=%s: a new certificate", agent)
    return RenewReply(certificate=certificate)


def _renewed(authority: Authority, settings: Settings, agent: AgentId, asked: RenewRequest) -> str:
    try:
        signature = base64.b64decode(asked.signature, validate=True)
    except ValueError as e:  # binascii.Error is one; what is not ASCII is another
        raise IdentityError("the signature is not base64") from e
    certificates.check_signature(authority.own(asked.certificate, agent), signature, asked.request.encode())
    return authority.issue_box(agent, asked.request, settings.box_lasts_s)
