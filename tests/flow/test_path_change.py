"""path from run to run: a way that moves is told with before and after, a hop that falls silent is not."""

from collections.abc import Iterator

import pytest

from tests.support.routers import Diamond, Driver

PARAMS = {"timeout": "0.2 s", "mtu": False}


@pytest.fixture
def diamond() -> Iterator[Diamond]:
    with Diamond() as routers:
        routers.unlimited()
        yield routers


def send(diamond: Diamond, family: int, by: str) -> list[str]:
    """One way for all flows, there and back; the truth of it."""
    out, back = (diamond.up, diamond.from_up) if by == "upper" else (diamond.down, diamond.from_down)
    via, from_ = (out.b4, back.a4) if family == 4 else (out.b6, back.a6)
    net = "10.99.0.0/24" if family == 4 else "fd99::/64"
    diamond.split.run("ip", f"-{family}", "route", "replace", "default", "via", via)
    diamond.join.run("ip", f"-{family}", "route", "replace", net, "via", from_)
    hops = [diamond.near, out, back, diamond.last]
    return [link.b4 for link in hops] if family == 4 else [link.b6.replace(":0::", "::") for link in hops]


@pytest.mark.parametrize("family", [4, 6])
def test_a_route_that_moves_is_a_change_with_before_and_after(diamond: Diamond, family: int) -> None:
    target = diamond.last.b4 if family == 4 else diamond.last.b6
    upper = send(diamond, family, "upper")
    with Driver(diamond.box, "path", target, params=PARAMS) as driver:
        first = driver.run()["result"]
        assert first["flows"][0]["way"] == upper
        assert (first.get("changed"), first.get("changes")) == (None, None)
        same = driver.again()["result"]
        assert (same["changed"], same["changes"], same.get("previous")) == (False, 0, None)
        lower = send(diamond, family, "lower")
        moved = driver.again()["result"]
        assert (moved["changed"], moved["changes"], moved["previous"]) == (True, 1, upper)
        assert moved["current"] == lower
        assert moved["changed_flows"] == [moved["flows"][0]["source_port"]]
        settled = driver.again()["result"]
        assert (settled["changed"], settled["changes"]) == (False, 0)
        assert settled["flows"][0]["way"] == lower


def test_a_hop_that_falls_silent_is_no_change_and_neither_is_its_return(diamond: Diamond) -> None:
    upper = send(diamond, 4, "upper")
    with Driver(diamond.box, "path", diamond.last.b4, params=PARAMS) as driver:
        driver.run()
        diamond.upper.run("nft", "add table inet t; add chain inet t o { type filter hook output priority 0; }")
        diamond.upper.run("nft", "add rule inet t o icmp type time-exceeded drop")
        silent = driver.again()["result"]
        assert silent["flows"][0]["way"] == [upper[0], None, *upper[2:]]
        assert silent["changed"] is False
        diamond.upper.run("nft", "flush ruleset")
        assert driver.again()["result"]["changed"] is False
        diamond.upper.run("nft", "add table inet t; add chain inet t o { type filter hook output priority 0; }")
        diamond.upper.run("nft", "add rule inet t o icmp type time-exceeded drop")
        driver.again()
        lower = send(diamond, 4, "lower")
        moved = driver.again()["result"]
        assert moved["changed"] is True, "what the silent hop had said is remembered"
        assert moved["previous"] == upper
        assert moved["current"] == lower
