"""A Debian tree as a virtual machine of its own: its systemd is the first process, on a kernel that has radios."""

import shlex
from pathlib import Path

from tests.lab import vm
from tests.packages.tree import ROOT, Tree

_HAND_OVER = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
ip link set lo up
exec > /dev/hvc0 2>&1 < /dev/null
stty raw -F /dev/hvc0
cd {root}
bash -e /run/out/.command || busybox poweroff -f
mount --bind {tree} {tree} && cd {tree} && exec switch_root {tree} /lib/systemd/systemd
busybox poweroff -f
"""


def boot(tree: Tree, script: str, files: Path, *, before: str = "true", timeout_s: float = 900) -> str:
    """As `Tree.boot`, on a kernel of its own.

    Args:
        before: Run in this checkout before systemd begins; processes that it leaves behind stay.
    """
    files.mkdir()
    tree.begin_with(script, files="/run/out")
    (files / ".command").write_text(f"{before}\n")
    start = _HAND_OVER.format(root=shlex.quote(str(ROOT)), tree=shlex.quote(str(tree.path)))
    printed = vm.boot(start, files, virtual_time=False, timeout_s=timeout_s, memory_mb=2048)
    told = files / "said"
    assert told.exists(), printed[-3000:] + (files / ".console").read_text("utf-8", "replace")[-3000:]
    return told.read_text()
