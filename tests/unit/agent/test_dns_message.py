"""DNS messages: questions as the standard writes them, answers read, garbage refused."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch_agent.services import dns_message
from fibrewatch_agent.services.dns_message import Answer, MessageError

ASKED = dns_message.question("www.example.fr", "A", 0x1234, udp_size=1232)
# As a resolver sends it: a CNAME by compression pointers, two addresses of its target, EDNS with an empty option list.
REAL = bytes.fromhex(
    "1234 8180 0001 0003 0000 0001"
    "03777777076578616d706c65026672 00 0001 0001"
    "c00c 0005 0001 00000e10 0006 03666161 c010"
    "c02c 0001 0001 0000003c 0004 c0000201"
    "c02c 0001 0001 0000001e 0004 c0000202"
    "00 0029 04d0 00000000 0000".replace(" ", "")
)


def record(kind: int, data: bytes, ttl: int = 60, group: int = 1) -> bytes:
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, group, ttl, len(data)) + data


def answer(*records: bytes, flags: int = 0x8180, asked: bytes = ASKED, more: bytes = b"", extra: int = 0) -> bytes:
    section = asked[12 : asked.index(0, 12) + 5]
    header = asked[:2] + struct.pack("!5H", flags, 1, len(records), 0, extra)
    return header + section + b"".join(records) + more


def test_a_question_is_written_as_rfc_1035_has_it() -> None:
    header, name, kind, edns = "123401000001000000000001", "03777777076578616d706c6502667200", "00010001", "000029"
    assert bytes.fromhex(f"{header}{name}{kind}{edns}04d0000000000000") == ASKED


def test_recursion_and_edns_can_be_left_out() -> None:
    assert dns_message.question(".", "NS", 1, recursion=False) == bytes.fromhex("0001000000010000000000000000020001")


def test_a_name_that_is_not_ascii_is_written_by_idna() -> None:
    assert b"xn--" + "crêpes".encode("punycode") in dns_message.question("crêpes.example", "A", 1)


@pytest.mark.parametrize("name", ["", "..", "a..b", "x" * 64, ".".join(["x" * 62] * 5), "\udcff.example"])
def test_a_name_that_no_message_can_hold_is_refused(name: str) -> None:
    with pytest.raises(MessageError):
        dns_message.question(name, "A", 1)


def test_a_recorded_answer_is_read() -> None:
    assert dns_message.answers(REAL, ASKED)
    assert dns_message.decode(REAL) == Answer(
        code=0, truncated=False, records=3, a=("192.0.2.1", "192.0.2.2"), aaaa=(), ttl_min=30
    )


def test_addresses_of_both_families_and_other_records_are_told_apart() -> None:
    data = answer(record(1, bytes(4)), record(28, bytes(15) + b"\1"), record(16, b"\4text"))
    found = dns_message.decode(data)
    assert (found.records, found.a, found.aaaa) == (3, ("0.0.0.0",), ("::1",))


def name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def owned(owner: str, kind: int, data: bytes) -> bytes:
    return name(owner) + record(kind, data)[2:]


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([owned("www.example.fr", 1, b"\1" * 4)], 1),
        ([owned("WWW.Example.FR", 1, b"\1" * 4)], 1),
        ([owned("bank.example.fr", 1, b"\1" * 4)], 0),
        ([owned("example.fr", 1, b"\1" * 4), owned("a.www.example.fr", 1, b"\1" * 4)], 0),
        ([owned("www.example.fr", 5, name("b.example")), owned("b.example", 1, b"\1" * 4)], 1),
        ([owned("b.example", 1, b"\1" * 4), owned("www.example.fr", 5, name("B.example"))], 1),
        ([owned("www.example.fr", 5, name("b.example")), owned("c.example", 1, b"\1" * 4)], 0),
        ([owned("b.example", 5, name("www.example.fr")), owned("b.example", 1, b"\1" * 4)], 0),
        ([owned("www.example.fr", 5, name("b.example")), owned("b.example", 5, name("www.example.fr"))], 0),
        ([owned("www.example.fr", 5, name("www.example.fr"))], 0),
    ],
)
def test_only_addresses_of_the_name_that_was_asked_for_count(records: list[bytes], found: int) -> None:
    answered = dns_message.decode(answer(*records))
    assert (len(answered.a), answered.records) == (found, len(records))


def test_a_name_whose_pointers_go_round_is_refused() -> None:
    start = len(answer())
    owner = b"\x01a" + struct.pack("!H", 0xC000 | start)
    with pytest.raises(MessageError, match="points ahead"):
        dns_message.decode(answer(owner + record(1, bytes(4))[2:]))


def test_an_alias_that_breaks_off_is_refused() -> None:
    with pytest.raises(MessageError):
        dns_message.decode(answer(record(5, b"\x03ab")))


def test_ednss_upper_bits_belong_to_the_answer_code() -> None:
    edns = b"\0" + struct.pack("!HHIH", 41, 1232, 1 << 24, 0)
    found = dns_message.decode(answer(more=edns, extra=1))
    assert (found.code, found.code_name) == (16, "BADVERS")


def test_a_code_without_a_name_is_given_by_its_number() -> None:
    assert dns_message.decode(answer(flags=0x818B)).code_name == "CODE11"


def test_a_negative_time_to_live_counts_as_none() -> None:
    assert dns_message.decode(answer(record(1, bytes(4), ttl=2**31))).ttl_min == 0


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        REAL[:11],
        b"\x12\x35" + REAL[2:],
        REAL[:2] + b"\x01\x80" + REAL[4:],
        REAL.replace(b"\x03www", b"\x03wwx"),
        REAL.replace(b"\x02fr\0\0\1", b"\x02fr\0\0\x1c"),
        REAL[:5] + b"\2" + REAL[6:],
        REAL[:5] + b"\0" + REAL[6:],
    ],
    ids=["empty", "short", "other id", "a question", "other name", "other type", "two questions", "none, yet no error"],
)
def test_what_does_not_answer_the_question_is_told(reply: bytes) -> None:
    assert not dns_message.answers(reply, ASKED)


def test_the_question_may_come_back_in_capitals() -> None:
    assert dns_message.answers(REAL.replace(b"\x03www\x07example", b"\x03wWw\x07ExAmPlE"), ASKED)


def test_an_error_may_leave_the_question_out() -> None:
    assert dns_message.answers(b"\x12\x34\x81\x81" + bytes(8), ASKED)


@pytest.mark.parametrize(
    "name",
    [b"\xc0\x0c", b"\xc0\xff", b"\x3f" + bytes(5), b"\x41a\0", b"\x01a" * 128 + b"\0"],
    ids=["points at itself", "points ahead", "breaks off", "unknown label", "too long"],
)
def test_a_name_that_loops_or_breaks_off_is_refused(name: bytes) -> None:
    with pytest.raises(MessageError):
        dns_message.decode(b"\x12\x34\x81\x80\0\1" + bytes(6) + name + b"\0\1\0\1")


def test_half_a_pointer_is_refused() -> None:
    with pytest.raises(MessageError):
        dns_message.decode(b"\x12\x34\x81\x80\0\1" + bytes(6) + b"\xc0")


def test_a_truncated_answer_may_break_off_anywhere() -> None:
    whole = answer(record(1, bytes(4)), record(1, bytes(4)), flags=0x8380)
    for end in range(len(whole) - 16, len(whole)):
        found = dns_message.decode(whole[:end])
        assert found.truncated
        assert found.records == 1


def test_what_breaks_off_without_saying_so_is_refused() -> None:
    for end in range(12, len(REAL)):
        with pytest.raises(MessageError):
            dns_message.decode(REAL[:end])


def test_an_address_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(MessageError, match="5 bytes"):
        dns_message.decode(answer(record(1, bytes(5))))


@settings(max_examples=2000, deadline=None)
@given(st.binary(max_size=600))
def test_arbitrary_bytes_are_an_answer_or_refused(data: bytes) -> None:
    dns_message.answers(data, ASKED)
    with contextlib.suppress(MessageError):
        dns_message.decode(data)


@settings(max_examples=2000, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(REAL) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_answer_is_an_answer_or_refused(damage: list[tuple[int, int]]) -> None:
    data = bytearray(REAL)
    for at, value in damage:
        data[at] = value
    dns_message.answers(bytes(data), ASKED)
    with contextlib.suppress(MessageError):
        dns_message.decode(bytes(data))


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from([1, 28, 5, 16, 65280]), max_size=20), st.integers(0, 2**31 - 1))
def test_every_record_of_a_well_formed_answer_is_counted(kinds: list[int], ttl: int) -> None:
    sizes = {1: 4, 28: 16}
    found = dns_message.decode(answer(*(record(kind, bytes(sizes.get(kind, 7)), ttl) for kind in kinds)))
    assert found.records == len(kinds)
    assert (len(found.a), len(found.aaaa)) == (kinds.count(1), kinds.count(28))
    assert found.ttl_min == (ttl if kinds else None)


def test_the_largest_message_of_pointers_is_read_in_one_pass() -> None:
    """65,535 bytes of the smallest records: each is stepped over once, its name never followed."""
    count = (65535 - len(answer())) // 12
    data = answer(*[record(99, b"")] * count)
    assert dns_message.decode(data).records == count
