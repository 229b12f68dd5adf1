"""The commands of docs/install-server.md and docs/install-box.md, run in a fresh Debian in their own order."""

import re
import shutil
from pathlib import Path

import pytest

from tests.packages.exported import nothing_is_missing
from tests.packages.tree import Tree, built, commands

pytestmark = pytest.mark.packages
HERE = Path(__file__).parent
VERSION = "0.1.0"


def test_from_blank_debian_to_the_first_result_and_the_first_alert(tmp_path: Path) -> None:
    """Then the broker is killed three times, the line is cut, and the box is stolen.

    One machine is server and box; what has no loopback (the network's packages) is run before it boots.
    """
    server, box = commands("install-server.md"), commands("install-box.md")
    tree = Tree(tmp_path)
    for each in built(VERSION, "fibrewatch-collector_amd64", "fibrewatch-agent_amd64"):
        shutil.copy(each, tree.path / "root")
    for block in (server.pop(0), box.pop(0)):
        assert block.startswith("apt-get update\n")
        tree.sh(f"cd /root && set -e\n{block}")
    tree.sh("apt-get install -y --no-install-recommends iproute2")
    tree.write("/etc/hosts", "127.0.0.1 localhost broker.example.net collector.example.net\n")
    alert = server.pop()
    assert alert.startswith("amtool alert query")
    # Nothing keeps the clock of a container: its host does.
    trusted = "printf '[clock]\\ntrusted = true\\n' >> /etc/fibrewatch/agent.toml\n"
    blocks = {"@SERVER@": "\n".join(server), "@BOX@": "\n".join([box[0], trusted, *box[1:]]), "@ALERT@": alert.strip()}
    script = (HERE / "pages.sh").read_text()
    for mark, text in blocks.items():
        script = script.replace(mark, text)
    said = tree.boot(script, 600)
    assert "server: 0\n" in said, said
    assert "box: 0\n" in said, said
    assert "up: yes" in said, said
    assert said.count("back: yes\n") == 3, said
    assert "alert: yes" in said, said
    assert re.search(r"SiteDown.*cargo", said), said
    nothing_is_missing((tree.path / "root/all").read_bytes())
    for each in ("revoked: 0", "the broker's list: 0", "shut out: yes", "enrolled again: 0"):
        assert f"{each}\n" in said, said
    assert "●" not in said, said
