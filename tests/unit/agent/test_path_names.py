"""AS numbers and names from a file: the longest prefix, and nothing from lines that say nothing."""

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibrewatch_agent.path.names import Name, Names, look_up


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "as.tsv"


def test_the_longest_prefix_counts_wherever_it_stands(file: Path) -> None:
    file.write_text(
        "10.1.2.0/24\t3\tc\n0.0.0.0/0\t1\ta\n10.0.0.0/8\t2\tb\n10.1.2.3\t4\td\n2001:db8::/32\t5\te\n::/0\t6\tf\n"
    )
    said = look_up(file, ["10.1.2.3", "10.1.2.4", "10.9.9.9", "192.0.2.1", "2001:db8::1", "::1"])
    assert {address: name.asn for address, name in said.items()} == {
        "10.1.2.3": 4,
        "10.1.2.4": 3,
        "10.9.9.9": 2,
        "192.0.2.1": 1,
        "2001:db8::1": 5,
        "::1": 6,
    }
    assert said["10.1.2.3"].name == "d"


def test_lines_that_say_little_are_taken_for_what_they_say(file: Path) -> None:
    file.write_bytes(b"# 10.0.0.0/8\t1\tx\n\nrubbish\n10.0.0.0/8\n10.1.0.0/16\tAS7\n2001:DB8::/32\tno\t\xff name\t\n")
    said = look_up(file, ["10.2.0.1", "10.1.0.1", "2001:db8::1", "192.0.2.1"])
    assert said == {"10.2.0.1": Name(None, None), "10.1.0.1": Name(7, None), "2001:db8::1": Name(None, "\ufffd name")}


def test_a_name_is_cut_and_a_number_that_is_none_left_out(file: Path) -> None:
    file.write_text(f"10.0.0.0/8\t{'9' * 30}\t{'x' * 500}\n")
    assert look_up(file, ["10.0.0.1"]) == {"10.0.0.1": Name(None, "x" * 40)}


def test_the_file_is_read_again_when_it_changes_or_an_address_is_new(file: Path) -> None:
    names = Names()
    file.write_text("10.0.0.0/8\t1\ta\n")
    assert names.of(file, ["10.0.0.1"])["10.0.0.1"].asn == 1
    assert names.of(file, ["10.0.0.1", "10.0.0.2", "192.0.2.1"])["10.0.0.2"].asn == 1
    file.write_text("10.0.0.0/8\t2\ta\n")
    assert names.of(file, ["10.0.0.1"])["10.0.0.1"].asn == 2
    file.unlink()
    with pytest.raises(FileNotFoundError):
        names.of(file, ["10.0.0.1"])


_ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@st.composite
def _tables(draw: st.DrawFn) -> tuple[list[str], list[ipaddress.IPv4Network | ipaddress.IPv6Network]]:
    """Addresses, and prefixes most of which cover one of them."""
    addresses = draw(st.lists(_ADDRESSES, min_size=1, max_size=4))
    near = [
        ipaddress.ip_network(f"{address}/{draw(st.integers(0, address.max_prefixlen))}", strict=False)
        for address in draw(st.lists(st.sampled_from(addresses), max_size=6))
    ]
    return [str(address) for address in addresses], list(dict.fromkeys(near))


@given(_tables())
def test_it_says_what_a_search_of_all_prefixes_says(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[list[str], list[ipaddress.IPv4Network]]
) -> None:
    addresses, networks = table
    file = tmp_path_factory.getbasetemp() / "table.tsv"
    file.write_text("".join(f"{network}\t{i}\tn{i}\n" for i, network in enumerate(networks)))
    said = look_up(file, addresses)
    for address in addresses:
        covering = [network for network in networks if ipaddress.ip_address(address) in network]
        if covering:
            best = max(covering, key=lambda network: network.prefixlen)
            assert said[address] == Name(networks.index(best), f"n{networks.index(best)}")
        else:
            assert address not in said
