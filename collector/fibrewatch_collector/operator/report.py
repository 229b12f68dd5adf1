"""`fibrewatch report`: from a collector's API, or from its store where that can be read."""

import asyncio
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from fibrewatch_collector.garbage import collect_garbage_seldom
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.operator.door import Door, opened
from fibrewatch_collector.report import asked


def from_api(door: Door, words: Mapping[str, str], out: Path | None) -> int:
    """Asks a collector; returns the exit status.

    Raises:
        AskError: The parameters don't fit together, or a PDF would go to a terminal.
        ApiError: The collector does not answer, or refuses.
    """
    _must_be_readable(asked.question(words), out)
    return _put(asyncio.run(_ask(door, words)), out)


def from_store(path: Path, inventory: Inventory, words: Mapping[str, str], out: Path | None) -> int:
    """Reads a store; returns the exit status.

    Raises:
        AskError: The report can't be made.
        StoreError: There is no store, or it can't be read.
    """
    from fibrewatch_collector.store.connections import must_be_a_store
    from fibrewatch_collector.store.sqlite import SqliteStore

    question = asked.question(words)
    _must_be_readable(question, out)
    must_be_a_store(path)
    collect_garbage_seldom()
    store = SqliteStore(path)
    try:
        answer = asked.answer(store, inventory, question, datetime.now(UTC))
    finally:
        store.close()
    return _put(question.write(answer), out)


def _must_be_readable(question: asked.Question, out: Path | None) -> None:
    """No PDF into a terminal.

    Raises:
        AskError: It would be one.
    """
    if question.format == "pdf" and out is None and sys.stdout.isatty():
        raise asked.AskError("a PDF is nothing for a terminal: --output FILE says where it goes")


async def _ask(door: Door, words: Mapping[str, str]) -> bytes:
    async with opened(door) as api:
        return await api.report(words)


def _put(body: bytes, out: Path | None) -> int:
    if out is not None:
        out.write_bytes(body)
        return 0
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()
    return 0
