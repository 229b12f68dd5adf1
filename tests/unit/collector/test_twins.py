"""Two live boxes under one id are told from one that was restarted."""

from fibrewatch.wire import AgentId
from fibrewatch_collector.twins import Twins

BOX, OTHER = AgentId("paris", "cargo", "box-01"), AgentId("paris", "cargo", "box-02")


def test_a_box_that_restarts_is_one_and_two_that_take_turns_are_two() -> None:
    twins = Twins()
    assert [twins.online(BOX, boot) for boot in ("a", "a", "b", "b", "c", "d", "d")] == [None] * 7
    assert [twins.online(BOX, boot) for boot in ("c", "c", "d", "e", "d")] == ["d", None, "c", None, "e"]
    assert [twins.online(OTHER, boot) for boot in ("d", "c")] == [None, None]
