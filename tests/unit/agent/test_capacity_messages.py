"""What both ends of a capacity test say: sealed, or not heard."""

import hmac

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibrewatch_agent.capacity.messages import HELLO_BYTES, End, Hello, Welcome, seal, session_key, unseal

KEY = b"the slot's token"
HELLO = Hello(
    nonce="n" * 22,
    direction="down",
    duration_s=10.0,
    packet_bytes=1250,
    most=125e6,
    max_bytes=None,
    tolerated_loss=0.02,
    lower_s=0.03,
    upper_s=0.09,
)
DEEP = pytest.param(b'{"type": "Hello", "more": ' * 5000, id="deep")
END = End(sent=7, met=3, top=1e6, cpu=None, stopped="duration")


def test_what_was_sealed_is_understood_by_who_has_the_key() -> None:
    for message in (HELLO, END, Welcome(nonce="a", own="b")):
        assert unseal(KEY, seal(KEY, message)) == message
        assert unseal(b"another", seal(KEY, message)) is None


def test_a_question_is_longer_than_its_answer() -> None:
    assert len(seal(KEY, HELLO, HELLO_BYTES)) == HELLO_BYTES
    assert len(seal(KEY, Welcome(nonce="n" * 22, own="o" * 22))) < HELLO_BYTES


def test_each_session_has_a_key_of_its_own() -> None:
    keys = {session_key(KEY, Welcome(nonce=nonce, own=own)) for nonce in "ab" for own in "cd"}
    assert len(keys) == 4


@given(st.binary(max_size=100), st.integers(0, 600), st.integers(1, 255))
def test_garbage_and_changed_bytes_say_nothing(garbage: bytes, at: int, flip: int) -> None:
    sealed = bytearray(seal(KEY, HELLO, HELLO_BYTES))
    sealed[at % len(sealed)] ^= flip
    assert unseal(KEY, bytes(sealed)) is None
    assert unseal(KEY, garbage) is None
    assert unseal(KEY, b"FWcS" + garbage) is None


@pytest.mark.parametrize("body", [b'{"type": "\xff"}', DEEP, b"7"])
def test_garbage_by_who_has_the_key_says_nothing(body: bytes) -> None:
    sealed = seal(KEY, HELLO)
    mark, seal_bytes = sealed[:4], len(sealed) - len(msgspec.json.encode(HELLO)) - 4
    assert unseal(KEY, mark + hmac.digest(KEY, body, "sha256")[:seal_bytes] + body) is None
