"""Boots the lab, has it run all scenarios of some topics, and judges what they left behind."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.lab import vm
from tests.lab.truth.rows import Section
from tests.lab.truth.scenario import SERVER_NAME, Plan
from tests.lab.truth.seen import Seen, Topic
from tests.support.certificates import Authority


def measure(topics: Sequence[Topic], folder: Path, *, timeout_s: float) -> list[Section]:
    """One machine's work; its files stay in the folder."""
    folder.mkdir(parents=True)
    authority = Authority(folder / "ca")
    (folder / "server.pem").write_text(authority.certificate("server", names=f"DNS:{SERVER_NAME}").read_text())
    scenarios = tuple(scenario for topic in topics for scenario in topic.scenarios)
    (folder / "plan.json").write_bytes(msgspec.json.encode(Plan(scenarios=scenarios)))
    guest = shlex.join([sys.executable, "-m", "tests.lab.truth.guest"])
    vm.run(f"modprobe sch_netem && {guest}", folder, virtual_time=True, timeout_s=timeout_s)
    return [judged(topic, folder) for topic in topics]


def judged(topic: Topic, folder: Path) -> Section:
    """The topic's rows, from its files."""
    seen = {scenario.name: Seen(folder, scenario.name) for scenario in topic.scenarios}
    return Section(topic.title, topic.text, topic.judge(seen))
