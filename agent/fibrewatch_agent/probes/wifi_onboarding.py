"""wifi_onboarding: becomes a client of a Wi-Fi network by way of the radio helper, and says what each phase took."""

from typing import Any

import msgspec

from fibrewatch.results.wifi_onboarding import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.radio_helper.messages import Onboard
from fibrewatch_agent.traffic.amounts import Amount, Way, tcp
from fibrewatch_agent.wifi import radio

_EXCHANGES_BYTES, _EAP_BYTES = 2000, 8000


async def wifi_onboarding(params: Params, box: Box) -> Result:
    """One onboarding; the box's own uplink is not touched.

    Raises:
        ProbeError: For the first phase that failed, with what was measured before; as `radio.onboard`.
    """
    names = [name for name in Onboard.__struct_fields__ if hasattr(params, name)]
    fields: dict[str, Any] = {name: getattr(params, name) for name in names}
    answer = await radio.onboard(Onboard(interface=box.interface, **fields), params.socket)
    box.used_family = 6 if ":" in (answer.result.address or "") else 4
    result = msgspec.structs.replace(answer.result, interface=answer.result.interface or box.interface)
    if answer.error is not None:
        raise ProbeError(answer.error, answer.detail or answer.error, result)
    return result


def traffic(params: Params, way: Way) -> Amount:
    """802.11's and DHCP's own frames stay on the air; what is asked of the test's server goes beyond."""
    if params.check is None:
        return Amount(_EXCHANGES_BYTES, _EXCHANGES_BYTES + _EAP_BYTES, "about", on_link=True)
    asked = tcp(way, 300, 1200)
    return asked.plus(asked) if params.url else asked
