"""A server of remote write that remembers what it took, and answers as it is told."""

import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import cramjam
from aiohttp import web

from tests.support.mosquitto import free_port

STALE = struct.unpack("<Q", b"\x02\x00\x00\x00\x00\x00\xf0\x7f")[0]


class Written(NamedTuple):
    """A sample; `value` is None where it is the staleness marker."""

    labels: Mapping[str, str]
    at_ms: int
    value: float | None

    @property
    def name(self) -> str:
        """The metric's."""
        return self.labels["__name__"]


def decode(request: bytes) -> list[Written]:
    """The samples of a WriteRequest, by the protobuf encoding alone; what is not of it raises."""
    found = []
    for _, series in _fields(request):
        labels: dict[str, str] = {}
        samples = []
        for number, content in _fields(series):
            if number == 1:
                name, value = (text.decode() for _, text in _fields(content))
                assert name not in labels and value
                labels[name] = value
            else:
                samples.append(_sample(content))
        assert list(labels) == sorted(labels)
        assert [at for at, _ in samples] == sorted(at for at, _ in samples)
        found += [Written(labels, at, value) for at, value in samples]
    return found


def _sample(content: bytes) -> tuple[int, float | None]:
    assert content[0] == 1 << 3 | 1 and content[9] == 2 << 3
    (bits,) = struct.unpack_from("<Q", content, 1)
    at, end = _varint(content, 10)
    assert end == len(content)
    return at, None if bits == STALE else struct.unpack_from("<d", content, 1)[0]


def _fields(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(content):
        assert content[at] & 7 == 2
        length, start = _varint(content, at + 1)
        assert start + length <= len(content)
        yield content[at] >> 3, content[start : start + length]
        at = start + length


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[at]
        number, shift, at = number | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return number, at


Judge = Callable[[list[Written]], web.Response]


def takes_all(_: list[Written]) -> web.Response:
    """What a server says that took it."""
    return web.Response(status=204)


@dataclass
class Receiver:
    """`judge` answers; what it answers with 2xx is `taken`."""

    judge: Judge = takes_all
    port: int = field(default_factory=free_port)
    taken: list[Written] = field(default_factory=list)
    requests: int = 0
    headers: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where to write."""
        return f"http://127.0.0.1:{self.port}/api/v1/write"

    def times(self, name: str) -> list[int]:
        """Of the samples of a metric, seconds, in the order in which they came."""
        return [each.at_ms // 1000 for each in self.taken if each.name == name and each.value is not None]

    async def _write(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.headers.append(request.headers)
        samples = decode(bytes(cramjam.snappy.decompress_raw(await request.read())))
        answer = self.judge(samples)
        if answer.status // 100 == 2:
            self.taken += samples
        return answer

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        """While it does."""
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/api/v1/write", self._write)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield self
        finally:
            await runner.cleanup()
