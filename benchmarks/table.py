"""`python -m benchmarks.table`: writes the measured figures into README.md, between its two markers."""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.support import ROOT, options, table

NAMES = ("ingest", "scrape", "queries", "rules", "footprint", "resident", "latency", "early_stop", "throughput")
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


def section(results: dict[str, dict[str, Any]]) -> str:
    """The Markdown between the markers: a table of each benchmark and what it was measured on."""
    parts = []
    for name, result in results.items():
        parts += [
            table(result["heads"], result["rows"]),
            f"`python -m benchmarks.{name}`, {_machine(result['machine'])}.",
        ]
    return "\n\n".join(parts)


def _machine(machine: dict[str, Any]) -> str:
    return (
        f"{machine['date']}: {machine['cores']} cores of {machine['cpu']}, "
        f"Linux {machine['kernel']}, Python {machine['python']}"
    )


def replaced(readme: str, content: str) -> str:
    """The README with this content between the markers.

    Raises:
        SystemExit: They are not there, each once and in order.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if len(pattern.findall(readme)) != 1:
        raise SystemExit(f"README.md: {BEGIN} and {END} are not there once each")
    return pattern.sub(lambda _: f"{BEGIN}\n{content}\n{END}", readme)


def main() -> None:
    """Needs the figures of all benchmarks: a missing one is named."""
    parser = options(__doc__ or "")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    given = parser.parse_args()
    files = {name: given.results / f"{name}.json" for name in NAMES}
    missing = [name for name, file in files.items() if not file.exists()]
    if missing:
        raise SystemExit(f"not measured yet: {', '.join(f'python -m benchmarks.{name}' for name in missing)}")
    content = section({name: json.loads(file.read_text("utf-8")) for name, file in files.items()})
    given.readme.write_text(replaced(given.readme.read_text("utf-8"), content), "utf-8")


if __name__ == "__main__":
    main()
