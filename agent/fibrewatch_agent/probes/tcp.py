"""tcp: connects and closes; what the kernel's handshake took beside what this process saw."""

from fibrewatch.results.tcp import Params, Result
from fibrewatch_agent.box import Box
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.net.connect import connected
from fibrewatch_agent.traffic.amounts import Amount, Way
from fibrewatch_agent.traffic.amounts import tcp as tcp_traffic

NEEDS_TARGET = True


async def tcp(params: Params, box: Box) -> Result:
    """Connects once.

    Raises:
        ProbeError: As `Findings.within`.
    """
    findings = Findings(Result)
    async with findings.within(params.timeout_s):
        to = await findings.resolve(box, params.port)
        findings.step = f"connecting to {to}"
        async with connected(to) as connection:
            findings.note(connect=connection.connect_s, rtt=connection.rtt_s, retransmits=connection.retransmits)
    return findings.result()


def traffic(params: Params, way: Way) -> Amount:
    """A connection that carries nothing."""
    return tcp_traffic(way, 0, 0)
