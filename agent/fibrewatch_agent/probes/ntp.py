"""ntp: one request to a time server, the box's two times taken from the kernel's stamps where it gives them."""

import os

from fibrewatch.measurement import Error
from fibrewatch.results.ntp import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.net import datagram
from fibrewatch_agent.services import ntp_message
from fibrewatch_agent.services.ntp_message import Packet, PacketError
from fibrewatch_agent.traffic.amounts import Amount, Way

NEEDS_TARGET = True
_REFUSALS: dict[str, Error] = {"DENY": "denied", "RSTR": "denied", "AUTH": "denied", "NKEY": "denied", "RATE": "busy"}


async def ntp(params: Params, box: Box) -> Result:
    """Asks the server once: it may answer a second question soon after with RATE.

    Raises:
        ProbeError: As `Findings.within`; denied and busy for a kiss-o'-death, protocol for a stratum or times
            that can't be.
    """
    findings = Findings(Result)
    async with findings.within(params.timeout_s):
        to = await findings.resolve(box, params.port)
        findings.step = f"asking {to}"
        cookie = int.from_bytes(os.urandom(8), "big") or 1

        def fits(data: bytes) -> bool:
            if ntp_message.is_reply(data, cookie):
                return True
            findings.stray()
            return False

        reply = await datagram.ask(to, ntp_message.request(cookie), fits)
        packet = _packet(reply.data)
        findings.note(**_said(packet), stamps=reply.stamps)
        if packet.kiss in _REFUSALS:
            raise ProbeError(_REFUSALS[packet.kiss], f"{to} sent a kiss-o'-death: {packet.kiss}")
        findings.note(**_measured(packet, reply, box))
    return findings.result()


def _packet(data: bytes) -> Packet:
    try:
        return ntp_message.decode(data)
    except PacketError as e:
        raise ProbeError("protocol", str(e)) from e


def _said(packet: Packet) -> dict[str, object]:
    return {
        "stratum": packet.stratum or 16,  # 0 is "unspecified": RFC 5905 maps it to 16 at reception
        "synchronised": packet.synchronised,
        "leap": packet.leap,
        "version": packet.version,
        "root_delay": packet.root_delay_s,
        "root_dispersion": packet.root_dispersion_s,
        "server_precision": packet.precision_s,
        "refid": packet.reference,
        "kiss": packet.kiss,
    }


def _measured(packet: Packet, reply: datagram.Reply, box: Box) -> dict[str, object]:
    """Offset and delay: not measured when the box's clock was stepped in between or the server knows no time."""
    if reply.stepped:
        box.mark("invalid", "clock_stepped")
        return {}
    if not packet.synchronised:
        return {}
    try:
        offset_ns, delay_ns = ntp_message.times(packet, reply.sent_ns, reply.received_ns)
    except PacketError as e:
        raise ProbeError("protocol", str(e)) from e
    distance = (delay_ns / 1e9 + packet.root_delay_s) / 2 + packet.root_dispersion_s + packet.precision_s
    return {"offset": offset_ns / 1e9, "delay": delay_ns / 1e9, "uncertainty": distance}


def traffic(params: Params, way: Way) -> Amount:
    """A packet each way."""
    return Amount(way.udp(48), way.udp(48))
