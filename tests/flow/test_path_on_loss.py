"""A real agent on a line that is cut: the way to the target is traced at once, not at its next slot."""

from pathlib import Path

from tests.support.agent import Box
from tests.support.mosquitto import free_port
from tests.support.routers import Chain
from tests.support.waiting import wait_until

TESTS = """
[targets.far]
address = "{far}"
role = "neutral"
[tests.ping]
probe = "ping"
targets = ["far"]
params = {{ interval = "100 ms", timeout = "300 ms" }}
[tests.way]
probe = "path"
targets = ["far"]
every = "7 d"
on_loss = true
params = {{ timeout = "200 ms", silent_hops = 2, deadline = "6 s", mtu = false }}
"""


async def test_lost_target_s_way_is_traced_at_once(tmp_path: Path) -> None:
    with Chain(3) as chain:
        chain.unlimited()
        box = Box(tmp_path, free_port(), prefix=tuple(chain.box.exec()))
        box.log_level = "debug"
        box.write(TESTS.format(far=chain.target(4)))
        try:
            box.start()
            chain.routers[1].run("ip", "route", "add", "blackhole", f"{chain.target(4)}/32")
            wait_until(lambda: "target lost" in box.log, "the loss")
            wait_until(lambda: "run test=way/far" in box.log, "the trace")
        finally:
            box.end()
        (way,) = [m for m in await box.spooled() if m.test == "way"]
    assert (way.outcome, way.trigger) == ("failed", "lost")
    assert [hop.routers[0].address for hop in way.result.path] == chain.way(4)[:1]
    assert way.detail == f"{chain.target(4)}:33434: no answer beyond hop 1, {chain.way(4)[0]}"
