"""Measurements for a spool, and what it hands out."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement, Measurement
from fibrewatch_agent.spool import Chunk, Spool

BOOT = "0123abcd"
NOW = 1_800_000_000.0


def measurement(index: int, *, size: int = 0, at: float | None = None, boot: str = BOOT) -> AnyMeasurement:
    """Tells itself from others by `index`; `size` bytes of padding; started `index` seconds after NOW unless said."""
    return Measurement(
        probe="made_up",
        test="made-up",
        started_at=datetime.fromtimestamp(NOW + index if at is None else at, UTC),
        boottime_s=float(index),
        boot=boot,
        duration_s=1.0,
        outcome="ok",
        result={"index": index, "padding": "x" * size},
    )


def open_spool(folder: Path, **changes: Any) -> Spool:
    """A spool with roomy bounds at a fixed time."""
    options: dict[str, Any] = {
        "max_bytes": 16 * 2**20,
        "max_age_s": 1e6,
        "boot": BOOT,
        "clock": lambda: NOW,
        "boottime": lambda: 77.0,
    }
    return Spool.open(folder / "spool.sqlite", **(options | changes))


async def fill(spool: Spool, indices: range, *, size: int = 0) -> None:
    """Appends many, some at a time so that they share a commit."""
    for start in indices[::50]:
        several = range(start, min(start + 50, indices.stop))
        await asyncio.gather(*(spool.append(measurement(i, size=size), dated=True) for i in several))


def held(chunk: Chunk) -> dict[int, Any]:
    """Number → measurement as plain data; checks that the header says the same as the chunk."""
    batch = wire.decode_batch(chunk.payload)
    assert (batch.stream, batch.first, len(batch.measurements)) == (
        chunk.stream,
        chunk.first,
        chunk.last - chunk.first + 1,
    )
    assert 1 <= batch.oldest <= batch.first
    return {batch.first + i: msgspec.json.decode(raw) for i, raw in enumerate(batch.measurements)}


def oldest(chunk: Chunk) -> int:
    """The header's word on the lowest number still held."""
    return wire.decode_batch(chunk.payload).oldest


async def drain(spool: Spool) -> dict[tuple[str, int], Any]:
    """Takes everything out and acknowledges it: (stream, number) → measurement as plain data, in order."""
    taken: dict[tuple[str, int], Any] = {}
    while (chunk := await spool.next()) is not None:
        taken |= {(chunk.stream, number): data for number, data in held(chunk).items()}
        await spool.acknowledge(chunk.stream, chunk.last)
    return taken


def indices(taken: dict[tuple[str, int], Any]) -> list[int]:
    """Which measurements of `measurement` were taken out, in order."""
    return [data["result"]["index"] for data in taken.values() if data["probe"] == "made_up"]
