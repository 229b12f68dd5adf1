"""The gateway and the first hop beyond it are found by the box itself, behind routers of which the truth is known."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.routers import Chain, Driver, once

ORDER: dict[str, Any] = {"params": {"port": 443, "timeout": "20 s"}}


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with Chain(4) as made:
        made.unlimited()
        yield made


@pytest.mark.parametrize("family", [4, 6])
def test_gateway_is_the_default_route_s(chain: Chain, family: int) -> None:
    said = once(chain.box, "tcp", "default-gateway", family=family, **ORDER)
    assert (said["resolved"], said["family"], said["error"]) == (chain.way(family)[0], family, "refused")


@pytest.mark.parametrize("family", [4, 6])
def test_first_hop_is_the_router_behind_the_gateway(chain: Chain, family: int) -> None:
    said = once(chain.box, "tcp", "first-hop", family=family, toward=["no..name", chain.target(family)], **ORDER)
    assert (said["resolved"], said["family"], said["error"]) == (chain.way(family)[1], family, "refused")


def test_router_that_answers_no_echo_is_passed_over(chain: Chain) -> None:
    chain.routers[1].run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
    try:
        said = once(chain.box, "tcp", "first-hop", toward=[chain.target(4)], **ORDER)
    finally:
        chain.routers[1].run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=0")
    assert said["resolved"] == chain.way(4)[2]


def test_first_hop_is_remembered_while_the_line_is_down(chain: Chain) -> None:
    with Driver(chain.box, "tcp", "first-hop", toward=[chain.target(4)], **ORDER) as driver:
        assert driver.run()["error"] == "refused"
        chain.routers[0].run("ip", "route", "del", "default")
        chain.routers[0].run("ip", "route", "del", "10.99.1.0/24")
        try:
            said = driver.again()
        finally:
            chain.routers[0].run("ip", "route", "add", "10.99.1.0/24", "dev", "out")
            chain.routers[0].run("ip", "route", "add", "default", "via", chain.links[1].b4)
    assert (said["resolved"], said["error"]) == (chain.way(4)[1], "unreachable")


def test_what_can_not_be_found_is_said(chain: Chain) -> None:
    said = once(chain.far, "tcp", "default-gateway", **ORDER)
    assert (said["error"], said["detail"]) == ("unreachable", "there is no default route")
    said = once(chain.box, "tcp", "first-hop", **ORDER)
    assert (said["error"], said["detail"]) == (
        "name_not_found",
        "first-hop: no target beyond the gateway is configured",
    )
    said = once(chain.box, "tcp", "first-hop", toward=["no..name"], **ORDER)
    assert (said["error"], said["detail"]) == ("name_not_found", "first-hop: no..name: not a host name")
