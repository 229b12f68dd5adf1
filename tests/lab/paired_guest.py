"""In the lab: wifi_paired over two ways of netem's; prints its result as JSON. python -m tests.lab.paired_guest"""

import sys

import msgspec

from tests.support.two_ways import TwoWays

WIRE_S, OVER_S, BACK_S, LOSS = 0.003, 0.005, 0.015, 0.10


def main() -> None:
    """The delays stand on the routers: what a box's own queue holds is not seen by its kernel's stamps."""
    with TwoWays() as ways:
        ways.wire.run("tc", "qdisc", "add", "dev", "eth1", "root", "netem", "delay", f"{WIRE_S * 1e3}ms")
        ways.air.run("tc", "qdisc", "add", "dev", "eth1", "root", "netem", "delay", f"{OVER_S * 1e3}ms")
        air = ("netem", "delay", f"{BACK_S * 1e3}ms", "loss", "random", f"{LOSS * 100}%")
        ways.air.run("tc", "qdisc", "add", "dev", "eth0", "root", *air)
        run = ways.once(window="20 s", interval="20 ms", timeout="1 s", transfers=False)
        sys.stdout.write(msgspec.json.encode(run).decode() + "\n")


if __name__ == "__main__":
    main()
