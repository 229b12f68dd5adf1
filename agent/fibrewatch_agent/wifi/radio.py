"""Asks the radio helper, the one service of the box that may change its radios."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.radio_helper.messages import (
    DEFAULT_SOCKET,
    MOST_ANSWER_BYTES,
    Answer,
    Monitor,
    Monitoring,
    Onboard,
    Onboarded,
    Refused,
    Request,
    Scan,
    Scanned,
)
from fibrewatch_agent.wifi.nl80211 import known
from fibrewatch_agent.wifi.radio_interface import NONE

_CONNECT_S, _MARGIN_S, _ONBOARD_MARGIN_S = 5.0, 25.0, 190.0
"""The margin is what a request may wait for its radio, and what putting back takes; a cell takes seconds to start."""


async def scan(request: Scan, path: str = DEFAULT_SOCKET) -> Scanned:
    """One scan; what it found is read from the kernel.

    Raises:
        ProbeError: What the helper says: no_interface, denied, busy, timeout …; tool_missing where there is none,
            permission where we may not ask.
    """
    async with _asked(request, path) as reader:
        answer = await _answer(reader, request.timeout_s + _MARGIN_S)
    if not isinstance(answer, Scanned):
        raise _unfit()
    return answer


@contextlib.asynccontextmanager
async def monitor(request: Monitor, path: str = DEFAULT_SOCKET) -> AsyncIterator[str]:
    """A monitor interface's name; it goes with the end of the block, or after `request.duration_s`.

    Raises:
        ProbeError: As `scan`.
    """
    async with _asked(request, path) as reader:
        answer = await _answer(reader, _MARGIN_S)
        if not isinstance(answer, Monitoring):
            raise _unfit()
        yield answer.interface


async def onboard(request: Onboard, path: str = DEFAULT_SOCKET) -> Onboarded:
    """One onboarding on a radio that is the helper's for the time.

    Raises:
        ProbeError: As `scan`; what failed on the way itself is in the answer.
    """
    async with _asked(request, path) as reader:
        longest_s = request.limits.longest_s(fast=request.fast, roam=request.roam)
        answer = await _answer(reader, longest_s + _ONBOARD_MARGIN_S)
    if not isinstance(answer, Onboarded):
        raise _unfit()
    return answer


@contextlib.asynccontextmanager
async def _asked(request: Request, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """A connection on which the request is under way; closing it ends that."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_unix_connection(path, limit=MOST_ANSWER_BYTES)
    except PermissionError as e:
        raise ProbeError("permission", f"{path}: the agent may not ask the radio helper") from e
    except TimeoutError as e:
        raise ProbeError("timeout", f"{path}: the radio helper does not answer") from e
    except OSError as e:
        if not known():
            raise ProbeError("no_interface", NONE) from e
        nobody = isinstance(e, FileNotFoundError | ConnectionRefusedError)
        why = "no radio helper listens there" if nobody else e.strerror or e
        raise ProbeError("tool_missing", f"{path}: {why}") from e
    try:
        with contextlib.suppress(ConnectionError):  # it may have refused already; its answer says why
            writer.write(msgspec.json.encode(request) + b"\n")
            await writer.drain()
        yield reader
        await _ended(reader, writer)
    finally:
        writer.close()


async def _ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says that no more is wanted, and waits until all is put back."""
    with contextlib.suppress(OSError):  # a timeout is one as well
        async with asyncio.timeout(_CONNECT_S):
            writer.write_eof()
            await reader.read()


async def _answer(reader: asyncio.StreamReader, limit_s: float) -> Answer:
    try:
        async with asyncio.timeout(limit_s):
            line = await reader.readuntil(b"\n")
        answer: Answer = msgspec.json.decode(line, type=Answer)
    except TimeoutError as e:
        raise ProbeError("timeout", f"no answer of the radio helper within {limit_s:g} s") from e
    except (asyncio.IncompleteReadError, ConnectionError) as e:
        raise ProbeError("tool_failed", "the radio helper ended without an answer") from e
    except (asyncio.LimitOverrunError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise _unfit() from e
    if isinstance(answer, Refused):
        raise ProbeError(answer.error, answer.detail)
    return answer


def _unfit() -> ProbeError:
    return ProbeError("protocol", "the radio helper's answer is none to what was asked")
