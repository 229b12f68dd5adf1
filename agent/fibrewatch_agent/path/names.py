"""AS numbers and names of routers, from a file of the operator's own: never from the network, never from DNS.

One line each, tabs between: prefix, AS number, name; `#` begins a comment. Prefixes stand as ip(8) and RFC 5952 write
them, without host bits: a line is looked at only when its first word is a prefix of an address that is asked for, so
that a table of the whole Internet (a million lines) takes 0.3 s and no memory.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_LONGEST_NAME = 40


class Name(NamedTuple):
    """What the file says of an address."""

    asn: int | None
    name: str | None


class Names:
    """Remembers what the file said until an address is new or the file has changed; for one caller at a time."""

    def __init__(self) -> None:
        self._version: tuple[str, int] | None = None
        self._kept: Mapping[str, Name] = {}

    def of(self, file: Path, addresses: Sequence[str]) -> Mapping[str, Name]:
        """What the file says of each address.

        Raises:
            OSError: The file can't be read.
        """
        version = (str(file), file.stat().st_mtime_ns)
        if version != self._version or not self._kept.keys() >= set(addresses):
            found = look_up(file, addresses)
            self._kept = {address: found.get(address, Name(None, None)) for address in addresses}
            self._version = version
        return self._kept


def look_up(file: Path, addresses: Iterable[str]) -> dict[str, Name]:
    """The longest prefix over each address; those that none covers are left out.

    Raises:
        OSError: The file can't be read.
    """
    wanted: dict[str, list[tuple[int, str]]] = {}
    for address in addresses:
        for length, prefix in _prefixes(address):
            wanted.setdefault(prefix, []).append((length, address))
    best: dict[str, tuple[int, Name]] = {}
    with file.open("r", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            _take(line, wanted, best)
    return {address: name for address, (_, name) in best.items()}


def _take(line: str, wanted: Mapping[str, list[tuple[int, str]]], best: dict[str, tuple[int, Name]]) -> None:
    prefix, _, rest = line.partition("\t")
    found = wanted.get(prefix) or wanted.get(prefix.strip().lower())
    if not found:
        return
    asn, _, name = rest.partition("\t")
    number = asn.strip().upper().removeprefix("AS")
    said = Name(int(number) if number.isdecimal() and len(number) <= 10 else None, name.strip()[:_LONGEST_NAME] or None)
    for length, address in found:
        if address not in best or best[address][0] <= length:
            best[address] = (length, said)


def _prefixes(address: str) -> Iterator[tuple[int, str]]:
    """Every prefix over it as text; a bare address is the longest."""
    bare = ipaddress.ip_address(address.partition("%")[0])
    network = ipaddress.IPv6Network if bare.version == 6 else ipaddress.IPv4Network
    yield bare.max_prefixlen, str(bare)
    for length in range(bare.max_prefixlen + 1):
        yield length, str(network((int(bare), length), strict=False))
