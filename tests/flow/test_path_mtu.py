"""path MTU on a way with a narrow link in its middle, whether the router before it tells or not."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.routers import Chain, once

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with Chain(3) as routers:
        routers.unlimited()
        yield routers


@pytest.fixture(autouse=True)
def wide(chain: Chain) -> Iterator[None]:
    yield
    for link in range(len(chain.links)):
        chain.set_mtu(link, 1500)
    for namespace in chain.namespaces:
        namespace.run("nft", "flush", "ruleset")


def limit(chain: Chain, family: int, **params: Any) -> tuple[int, bool, str | None]:
    said = once(chain.box, "path", chain.target(family), params={"probes": 1, **params})
    result = said["result"]
    assert said["error"] is None
    assert result["mtu_to"] == chain.target(family)
    return result["mtu"], result["mtu_black_hole"], result.get("mtu_limited_by")


@FAMILIES
@pytest.mark.parametrize("mtu", [1280, 1281, 1399, 1492, 1499])
def test_a_limit_that_is_told_is_found_exactly(chain: Chain, family: int, mtu: int) -> None:
    chain.set_mtu(2, mtu)
    assert limit(chain, family) == (mtu, False, chain.way(family)[1])


@FAMILIES
def test_the_narrowest_of_several_links_counts(chain: Chain, family: int) -> None:
    chain.set_mtu(1, 1452)
    chain.set_mtu(3, 1321)
    assert limit(chain, family) == (1321, False, chain.way(family)[2])


@FAMILIES
def test_the_boxs_own_link_is_a_limit_that_needs_no_telling(chain: Chain, family: int) -> None:
    chain.set_mtu(0, 1400)
    assert limit(chain, family) == (1400, False, None)


@FAMILIES
@pytest.mark.parametrize("mtu", [1280, 1333, 1499])
def test_a_black_hole_is_said_and_what_passes_is_found_exactly(chain: Chain, family: int, mtu: int) -> None:
    chain.set_mtu(2, mtu)
    chain.keep_quiet(1)
    assert limit(chain, family) == (mtu, True, None)


@FAMILIES
def test_a_black_hole_behind_a_limit_that_is_told(chain: Chain, family: int) -> None:
    chain.set_mtu(1, 1450)
    chain.set_mtu(3, 1380)
    chain.keep_quiet(2)
    assert limit(chain, family) == (1380, True, chain.way(family)[0])


@FAMILIES
def test_random_loss_is_no_black_hole(chain: Chain, family: int) -> None:
    """Every third packet vanishes on the way, of whatever size."""
    chain.routers[1].run("nft", "add table inet t; add chain inet t f { type filter hook forward priority 0; }")
    chain.routers[1].run("nft", "add rule inet t f meta l4proto udp numgen inc mod 3 0 drop")
    chain.set_mtu(2, 1420)
    assert limit(chain, family)[:2] == (1420, False)


def test_a_limited_target_makes_the_search_slow_and_not_wrong() -> None:
    """It answers once a second: what it does not answer for that has not vanished."""
    with Chain(1) as routers:
        routers.set_mtu(1, 1476)
        routers.keep_quiet(0)
        assert limit(routers, 4) == (1476, True, None)


def test_a_limit_that_is_lifted_is_seen_at_once(chain: Chain) -> None:
    """The kernel remembers a limit for ten minutes; the probe does not go by that."""
    chain.set_mtu(2, 1300)
    assert limit(chain, 4)[0] == 1300
    chain.set_mtu(2, 1500)
    assert limit(chain, 4)[0] == 1500
