"""The helper's side of an onboarding: a cell is made, the radio put into it, and waited for until it is back."""

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from fibrewatch import python_child
from fibrewatch.errors import ConfigError, ToolError
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.child import Child, child, find
from fibrewatch_agent.radio_helper import links, orders, radios
from fibrewatch_agent.radio_helper.config import HelperConfig, NetworkConfig
from fibrewatch_agent.radio_helper.messages import MOST_ANSWER_BYTES, Onboard, Onboarded
from fibrewatch_agent.radio_helper.order import Order, order
from fibrewatch_agent.wifi.nl80211 import Interface, Nl80211

log = logging.getLogger(__name__)

_START_S, _MARGIN_S, _BACK_S = 120.0, 30.0, 20.0  # a slow card takes seconds to load scapy
_KEPT, _LOOK_S, _LAST_WORDS_S = 4096, 0.02, 10.0
_CELL, _PREFIX = "fibrewatch_agent.radio_helper.cell", "onboard-"


def network(config: HelperConfig, request: Onboard) -> NetworkConfig:
    """The network that a request names.

    Raises:
        ProbeError: denied, the configuration has none such.
    """
    found = config.networks.get(request.network)
    if found is None:
        raise ProbeError("denied", f"networks.{request.network} is not in the helper's configuration")
    return found


async def onboard(request: Onboard, wanted: NetworkConfig, interface: Interface, folder: Path, file: str) -> Onboarded:
    """Ends with the radio back where it was, whatever happens: the namespace's end alone brings that about.

    Args:
        folder: Where the cell's own folder is made.

    Raises:
        ProbeError: denied, the radio carries the uplink; permission, no namespace may be made; tool_missing,
            tool_failed; timeout.
    """
    radios.spare(interface)
    was_up = links.is_up(interface.name)
    with _private_folder(folder) as private:
        try:
            ordered = order(request, wanted, interface.name, str(private), file)
        except ConfigError as e:
            raise ProbeError("tool_failed", str(e)) from e
        except ToolError as e:
            raise ProbeError("tool_missing", str(e)) from e
        try:
            return await _in_cell(ordered, interface)
        finally:
            await asyncio.shield(_back(interface, up=was_up))


def sweep(folder: Path) -> None:
    """Removes the cells' folders that a killed helper has left."""
    for each in folder.glob(f"{_PREFIX}*"):
        if each.lstat().st_uid == os.geteuid():
            shutil.rmtree(each, ignore_errors=True)


@contextlib.contextmanager
def _private_folder(beside: Path) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=beside))  # mode 0700
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


async def _in_cell(ordered: Order, interface: Interface) -> Onboarded:
    async with _cell(Path(ordered.folder).parent) as (process, ours):
        reader, writer = await asyncio.open_connection(sock=ours, limit=MOST_ANSWER_BYTES)
        try:
            await _line(reader, process, _START_S)
            _move(interface, process.transport.get_pid())
            writer.write(msgspec.json.encode(ordered) + b"\n")
            asked = ordered.request
            longest_s = asked.limits.longest_s(fast=asked.fast, roam=asked.roam)
            line = await _line(reader, process, longest_s + _MARGIN_S)
            return msgspec.json.decode(line, type=Onboarded)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def _cell(home: Path) -> AsyncIterator[tuple[Child, socket.socket]]:
    """A process that is root of nothing but a user and a network namespace of its own, and our end of its line to us.

    That takes no privilege. setpriv stands on both sides of unshare(1), because the wish to die with the parent does
    not outlive the change of user namespace on every kernel.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        number = str(theirs.fileno())
        argv = ["unshare", "--user", "--map-root-user", "--net", "--", find("setpriv"), "--pdeathsig", "KILL", "--"]
        argv += python_child.command(_CELL, number)
        env = {"HOME": str(home)}  # where scapy keeps what it has learnt of /etc/services
        async with child(argv, keep=_KEPT, tail=True, env=env, pass_fds=(theirs.fileno(),)) as process:
            theirs.close()
            yield process, ours


async def _line(reader: asyncio.StreamReader, process: Child, limit_s: float) -> bytes:
    try:
        async with asyncio.timeout(limit_s):
            return await reader.readuntil(b"\n")
    except TimeoutError as e:
        raise ProbeError("timeout", f"the cell said nothing within {limit_s:g} s") from e
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as e:
        await process.ends_within(_LAST_WORDS_S)
        last = process.errors.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        if last.startswith("unshare:"):
            hint = "users may make no namespaces: kernel.unprivileged_userns_clone, user.max_user_namespaces"
            raise ProbeError("permission", f"{last}: {hint}") from e
        raise ProbeError("tool_failed", f"the cell ended without an answer: {last}") from e


def _move(interface: Interface, pid: int) -> None:
    try:
        with Nl80211() as air:
            orders.move(air, interface.wiphy, pid)
    except OSError as e:
        if e.errno == errno.EOPNOTSUPP:
            raise ProbeError("denied", f"{interface.name}: its driver can't leave the first network namespace") from e
        raise


async def _back(interface: Interface, *, up: bool) -> None:
    """Returns when the kernel has put the radio back, and it is as it was."""
    try:
        async with asyncio.timeout(_BACK_S):
            while True:
                if any(each.wiphy == interface.wiphy for each in orders.interfaces()):
                    break
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        log.exception("radio not back interface=%s", interface.name)
        return
    index = radios.index_of(interface.name)
    if up and index is not None:
        with contextlib.suppress(OSError):
            links.set_up(index)
