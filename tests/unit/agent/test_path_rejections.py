"""Whose port unreachable it is, in whatever order the answers come."""

from fibrewatch_agent.path.flow import Answer, Probe, tell_rejections

TARGET, ROUTER, OTHER = "192.0.2.1", "198.51.100.1", "192.0.2.9"


def probe(ttl: int, answer: Answer | None, by: str | None) -> Probe:
    return Probe(ttl, TARGET, 0, 0, ttl=ttl, answer=answer, by=by)


def test_an_address_that_was_a_hop_before_rejects_in_the_targets_stead() -> None:
    probes = [probe(3, "reached", ROUTER), probe(2, "hop", ROUTER)]
    tell_rejections(probes)
    assert (probes[0].answer, probes[0].error) == ("stop", "refused")


def test_an_address_that_was_no_hop_before_is_the_targets_and_so_is_its_own() -> None:
    probes = [
        probe(1, "hop", ROUTER),
        probe(2, "reached", OTHER),
        probe(3, "reached", TARGET),
        probe(4, "reached", None),
    ]
    probes += [probe(1, "hop", TARGET), probe(1, "hop", None), probe(2, "hop", OTHER)]
    tell_rejections(probes)
    assert [each.answer for each in probes[1:4]] == ["reached"] * 3
