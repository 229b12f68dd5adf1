"""How iperf3 shows a slot's token to its server."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple

from fibrewatch.errors import ToolError
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.child import child
from fibrewatch_agent.slots.far_desk import Slot
from fibrewatch_agent.transfer.iperf3 import TOOL

_LIMIT_S = 5.0
_FIRST_WITH_OAEP = (3, 17)


class Login(NamedTuple):
    """What the tool's command line and environment need: the password is not for the former, which all can read."""

    options: tuple[str, ...] = ()
    env: Mapping[str, str] = MappingProxyType({})


@contextmanager
def login(slot: Slot, version: tuple[int, int]) -> Iterator[Login]:
    """Options and environment of a client of this slot; the key's file is gone at the end.

    Both ends use PKCS #1 padding: what 3.12 knows and later ones can be told, see `responder.credentials`.

    Raises:
        ProbeError: tool_failed, no file can be written.
    """
    try:
        import tempfile  # 0.7 MiB that a box without slots never needs

        with tempfile.NamedTemporaryFile("w", prefix="fibrewatch-slot-", suffix=".pem") as key:
            key.write(slot.public_key)
            key.flush()
            padding = ("--use-pkcs1-padding",) if version >= _FIRST_WITH_OAEP else ()
            options = ("--username", slot.user, "--rsa-public-key-path", key.name, *padding)
            yield Login(options, {"IPERF3_PASSWORD": slot.token})
    except OSError as e:
        raise ProbeError("tool_failed", f"{e.filename}: {e.strerror}") from e


async def version() -> tuple[int, int]:
    """Of the tool that is installed now.

    Raises:
        ProbeError: tool_missing or tool_failed.
    """
    try:
        async with child([TOOL, "-v"], keep=4096) as process:
            await process.ends_within(_LIMIT_S)
    except ToolError as e:
        raise ProbeError("tool_missing", str(e)) from e
    except OSError as e:
        raise ProbeError("tool_failed", f"{TOOL}: {e.strerror}") from e
    found = re.match(rb"iperf (\d+)\.(\d+)", process.output)
    if found is None:
        raise ProbeError("tool_failed", f"{TOOL}: unknown version: {bytes(process.output[:60])!r}")
    return int(found[1]), int(found[2])
