"""Any sequence of what is done to a spool: it holds what was appended and neither acknowledged nor dropped."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch_agent.spool import Chunk, Spool
from tests.support.spooled import held, measurement, oldest, open_spool

Step = tuple[str, int]
Key = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "large", "next", "ack", "stale ack", "reopen"]), st.integers(1, 40)),
    max_size=20,
)


@dataclass
class Model:
    """What a spool should hold, as plain data.

    Attributes:
        appended: (stream, number) -> index of the measurement.
        told: Numbers that the spool said it had dropped.
        acked: The highest acknowledged number of each stream.
    """

    spool: Spool
    appended: dict[Key, int] = field(default_factory=dict)
    out: list[Chunk] = field(default_factory=list)
    told: set[Key] = field(default_factory=set)
    acked: dict[str, int] = field(default_factory=dict)

    async def append(self, count: int, size: int) -> None:
        indices = range(len(self.appended), len(self.appended) + count)
        numbers = await asyncio.gather(*(self.spool.append(measurement(i, size=size), dated=True) for i in indices))
        self.appended |= {(self.spool.stream, number): i for number, i in zip(numbers, indices, strict=True)}

    async def next(self, limit: int) -> set[Key] | None:
        """Checks the next batch against what was appended; returns its measurements."""
        chunk = await self.spool.next(limit)
        if chunk is None:
            return None
        self.out.append(chunk)
        assert oldest(chunk) > self.acked.get(chunk.stream, 0)
        found: set[Key] = set()
        for number, data in held(chunk).items():
            if data["probe"] == "made_up":
                assert self.appended[chunk.stream, number] == data["result"]["index"]
                found.add((chunk.stream, number))
            else:
                told = data["result"]
                numbers = {(told["stream"], n) for n in range(told["first"], told["last"] + 1)}
                assert told["dropped"] == len(numbers)
                self.told |= numbers
        return found

    async def acknowledge(self, which: int) -> None:
        if self.out:
            chunk = self.out[which % len(self.out)]
            await self.spool.acknowledge(chunk.stream, chunk.last)
            self.acked[chunk.stream] = max(self.acked.get(chunk.stream, 0), chunk.last)

    async def reopen(self, folder: Path) -> None:
        await self.spool.close()
        self.spool, self.out = open_spool(folder, max_bytes=2**20), []

    async def empty(self) -> set[Key]:
        """Takes out and acknowledges everything there is."""
        await self.spool.rewind({})
        found: set[Key] = set()
        while (some := await self.next(100)) is not None:
            found |= some
            await self.acknowledge(len(self.out) - 1)
        return found


async def play(steps: list[Step], folder: Path) -> None:
    model = Model(open_spool(folder, max_bytes=2**20))
    for step, number in steps:
        if step == "append":
            await model.append(number, 200)
        elif step == "large":
            await model.append(number, 20_000)
        elif step == "next":
            await model.next(number)
        elif step == "ack":
            await model.acknowledge(len(model.out) - 1)
        elif step == "stale ack":
            await model.acknowledge(number)
        else:
            await model.reopen(folder)
    await model.append(1, 0)  # drops are told once the clock is known to be good
    live = {key for key in model.appended if key[1] > model.acked.get(key[0], 0)}
    found = await model.empty()
    assert found <= live
    assert found | (live & model.told) == live, "neither held nor told to be dropped"
    assert not found & model.told, "held, though told to be dropped"
    assert model.told <= set(model.appended), "what tells of drops was dropped itself"
    assert model.spool.state().depth == 0
    await model.spool.close()


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_held_is_appended_less_acknowledged_less_dropped(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(steps, Path(folder)))
