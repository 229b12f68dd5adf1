"""Measurements out of a store and into another: NDJSON, each line one measurement, byte for byte as its box sent it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import BinaryIO

import msgspec
from msgspec import Raw, Struct

from fibrewatch.errors import FibrewatchError, WireError
from fibrewatch.wire import MAX_MEASUREMENT_BYTES, AgentId, Sequence, StreamId, agent_id, decode_measurement
from fibrewatch_collector import admission
from fibrewatch_collector.store import Arrival, Committed, Delivery, Store, Stored
from fibrewatch_collector.store.codec import one_line

_CHUNK = 500
_MAX_LINE_BYTES = MAX_MEASUREMENT_BYTES + 1024


class Line(Struct, frozen=True, kw_only=True):
    """One line; whatever else stands on it is ignored."""

    territory: str
    site: str
    agent: str
    stream: StreamId
    sequence: Sequence
    measurement: Raw


@dataclass(slots=True)
class Imported:
    """What came of an import; conflicts and refused are in the store's quarantine.

    Attributes:
        duplicates: Were there already.
        conflicts: Another measurement has their number.
    """

    lines: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    refused: int = 0

    def add(self, done: Committed, lines: int) -> None:
        """Counts one transaction."""
        self.lines += lines
        self.stored += len(done.stored)
        self.duplicates += done.duplicates
        self.conflicts += done.conflicts
        self.refused += done.refused


@dataclass(frozen=True, slots=True)
class _Item:
    agent: AgentId
    stream: str
    arrival: Arrival


def export_lines(store: Store, begin: float, end: float) -> Iterator[bytes]:
    """All with begin ≤ started_at < end, UTC seconds since 1970, by series and time."""
    return map(_line, store.export(begin, end))


def _line(stored: Stored) -> bytes:
    # Put together by hand: an encoder would write the measurement's bytes anew.
    territory, site, agent = stored.agent
    ids = f'"territory":"{territory}","site":"{site}","agent":"{agent}","stream":"{stored.stream}"'
    head = f'{{{ids},"sequence":{stored.seq},"measurement":'
    return b"".join((head.encode(), one_line(stored.raw), b"}\n"))


def import_lines(store: Store, file: BinaryIO, name: str, now: float, retention_s: float) -> Imported:
    """Stores the lines of a file, as often as one likes; it claims nothing about numbers that are not in it.

    Raises:
        FibrewatchError: `name:17: what is wrong with line 17`; all lines before it are imported.
        StoreError: The store failed; a part may be imported: do it again.
    """
    total = Imported()
    for chunk, error in _chunks(file, name, now, retention_s):
        if chunk:
            total.add(store.commit(list(_deliveries(chunk, now))), len(chunk))
        if error is not None:
            raise error
    return total


def _chunks(
    file: BinaryIO, name: str, now: float, retention_s: float
) -> Iterator[tuple[list[_Item], FibrewatchError | None]]:
    """What goes into one transaction; at a bad line what stands before it, and the error."""
    chunk: list[_Item] = []
    for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE_BYTES + 1), b""), 1):
        try:
            if line.strip():
                chunk.append(_item(line, f"{name}:{number}", now, retention_s))
        except FibrewatchError as e:
            yield chunk, e
            return
        if len(chunk) == _CHUNK:
            yield chunk, None
            chunk = []
    yield chunk, None


_decoder = msgspec.json.Decoder(Line)


def _item(text: bytes, place: str, now: float, retention_s: float) -> _Item:
    if len(text) > _MAX_LINE_BYTES:
        raise FibrewatchError(f"{place}: longer than {_MAX_LINE_BYTES} bytes")
    try:
        line = _decoder.decode(text)
        agent = agent_id(f"{line.territory}/{line.site}/{line.agent}")
        raw = bytes(line.measurement)
        measurement = decode_measurement(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, WireError) as e:
        raise FibrewatchError(f"{place}: {e}") from e
    reason = admission.refusal(measurement, now, retention_s)
    if reason is not None:
        raise FibrewatchError(f"{place}: measurement refused: {reason}")
    return _Item(agent, line.stream, Arrival(line.sequence, raw, measurement))


def _deliveries(items: Iterable[_Item], now: float) -> Iterator[Delivery]:
    key = attrgetter("agent", "stream")
    for (agent, stream), group in groupby(sorted(items, key=key), key):
        yield Delivery(agent, stream, 0, now, [item.arrival for item in group])
