"""`python -m tests.lab.truth`: measures all rows anew and writes docs/truth.md; exit status 1 when one fails.

Run it by `make truth`: it needs a network namespace of its own.
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.support import machine
from tests.lab import vm
from tests.lab.truth import lines, namespaces, packets, services
from tests.lab.truth.rows import Section, markdown
from tests.lab.truth.seen import Topic

PAGE = vm.ROOT / "docs" / "truth.md"
_INTRODUCTION = """# True value against measured value

Made by `make truth` on {date}: {cores} cores of {cpu}, Linux {kernel}, Python {python}. {passed} of {rows} rows pass.

Most lines are netem's, between routers in a virtual machine (Debian's kernel {guest}, software emulation) whose clock
counts instructions and skips idle time: a delay of 10 ms *is* 10 ms there, whatever else this machine does. Truth is
netem's setting, and what captures at both ends of the line show. What is about load, capacity or routing is measured
in network namespaces in real time. `make test` measures a short part of the lab's rows and `make lab` all of them;
either fails where a row does.

"""


def by_machine(short: bool = False) -> list[list[Topic]]:
    """Topics of two machines that take about as long as each other."""
    made = {make.__name__: make(short) for make in (*packets.TOPICS, *services.TOPICS)}
    losses = made.pop("losses")
    return [[losses], list(made.values())]


def lab(folder: Path, machines: Sequence[Sequence[Topic]]) -> list[Section]:
    """Several machines at once: each has one processor."""
    with ThreadPoolExecutor() as pool:
        work = [
            pool.submit(lines.measure, topics, folder / str(number), timeout_s=1800)
            for number, topics in enumerate(machines)
        ]
        return [section for each in work for section in each.result()]


def page(sections: Sequence[Section]) -> str:
    """The whole of docs/truth.md."""
    rows = [row for section in sections for row in section.rows]
    guest = next(iter((vm.cache() / "kernel/lib/modules").iterdir())).name
    passed = sum(row.passed for row in rows)
    head = _INTRODUCTION.format(**machine(), guest=guest, passed=passed, rows=len(rows))
    return head + "\n".join(markdown(section) for section in sections)


def main() -> None:
    """Measures, writes, and says what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    begun, folder = datetime.now(UTC), Path(tempfile.mkdtemp(prefix="fibrewatch-truth-"))
    here = namespaces.sections()  # first, with nothing beside them
    sections = [*lab(folder, by_machine()), *here]
    shutil.rmtree(folder)
    given.page.write_text(page(sections), "utf-8")
    failed = [row for section in sections for row in section.rows if not row.passed]
    for row in failed:
        print(f"{row.what}: true {row.true}, measured {row.measured}, {row.criterion}")
    print(f"{given.page}: {(datetime.now(UTC) - begun).total_seconds():.0f} s, {len(failed)} rows fail")
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
