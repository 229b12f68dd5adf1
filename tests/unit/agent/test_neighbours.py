"""What neighbours send, however it looks."""

from hypothesis import given
from hypothesis import strategies as st

from fibrewatch_agent.net.neighbours import _link_address

MAC = bytes.fromhex("0200000000aa")


def test_the_targets_hardware_address_is_found_among_the_options() -> None:
    other = bytes((14, 2)) + bytes(14)
    assert _link_address(bytes((2, 1)) + MAC) == MAC
    assert _link_address(other + bytes((2, 1)) + MAC) == MAC
    assert _link_address(other) is None
    assert _link_address(bytes((1, 1)) + MAC) is None, "that is the asker's"
    assert _link_address(bytes((2, 0)) + MAC) is None, "an option without a length never ends"
    assert _link_address(bytes((2, 1)) + MAC[:3]) is None


@given(st.binary(max_size=100))
def test_no_options_are_too_strange(options: bytes) -> None:
    found = _link_address(options)
    assert found is None or len(found) == 6
