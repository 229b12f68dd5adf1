"""What a probe's child says at its end: one JSON value on its standard output."""

from typing import TypeVar

import msgspec

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.child import Child

T = TypeVar("T")


async def answer(process: Child, kind: type[T], name: str = "the child") -> T:
    """Waits for its end.

    Raises:
        ProbeError: It said something else; then its last words tell why.
    """
    status = await process.wait()
    try:
        return msgspec.json.decode(bytes(process.output), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        last = process.errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ProbeError("tool_failed", f"{name} ended with status {status}: {last}") from e
