"""What the radio helper's cell does once its link carries data, on a wire.

python -m tests.support.joined_driver REQUEST: eth0 is set up as a join would do it; the answer is printed as JSON.
"""

import asyncio
import sys

import msgspec

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net.icmp_socket import interface_index
from fibrewatch_agent.radio_helper import links
from fibrewatch_agent.radio_helper.joined import Joined
from fibrewatch_agent.radio_helper.messages import Onboard, Onboarded
from fibrewatch_agent.radio_helper.order import Order
from fibrewatch_agent.radio_helper.way import Way


async def go(request: Onboard) -> Onboarded:
    """All phases behind the keys."""
    nothing = {"folder": "", "supplicant": "", "ssid": "", "printed": "", "variables": ()}
    order = Order(**nothing, interface="eth0", eap=False, keys=False, request=request)  # type: ignore[arg-type]
    way = Way(interface="eth0", join=0.0)
    links.set_up(interface_index("eth0"))
    try:
        async with Joined(order, way) as joined:
            await joined.go()
    except ProbeError as e:
        return Onboarded(result=way.result(), error=e.error, detail=e.detail)
    return Onboarded(result=way.result())


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(go(msgspec.json.decode(sys.argv[1], type=Onboard)))).decode())
