"""A command within the very sandbox of a shipped unit."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.packages.tree import ROOT, Tree

OUT = "root/out"
_OWN = r"(?m)^(Type|ExecStart|ExecReload|WatchdogSec|Restart|RestartSec|ConditionPathExists)=.*\n"
"""What a command that runs once has otherwise."""


def within(tree: Tree, unit: str, name: str, command: str) -> str:
    """A service that runs a command once with all that the unit allows and refuses; its output is /root/out/NAME."""
    package = "fibrewatch-collector" if "collector" in unit else "fibrewatch-agent"
    text = re.sub(_OWN, "", (ROOT / f"deploy/systemd/{package}/{unit}.service").read_text())
    begin = f"[Service]\nType=oneshot\nExecStart=-{command}\n"
    begin += "".join(f"Standard{kind}=file:/{OUT}/{name}{end}\n" for kind, end in (("Output", ""), ("Error", ".err")))
    (tree.path / OUT).mkdir(exist_ok=True)
    service = f"once-{name.replace('_', '-')}.service"
    tree.write(f"/etc/systemd/system/{service}", text.replace("[Service]\n", begin))
    return service


def probes(tree: Tree, wanted: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Services that take one measurement each, by name; `wanted` has the probe and its options."""
    once = "/usr/bin/fibrewatch-agent once --json --window 5s"
    return {
        name: within(tree, "fibrewatch-agent", name, f"{once} {probe} {options}")
        for name, (probe, options) in wanted.items()
    }


def measured(folder: Path, name: str) -> dict[str, Any]:
    """What the service printed."""
    text = (folder / name).read_text()
    found: dict[str, Any] = json.loads(text) if text else {"errors": (folder / f"{name}.err").read_text()[-500:]}
    return found
