"""README's tables of figures: those that were measured anew are written, all others stay."""

from typing import Any

from benchmarks.table import BEGIN, END, NAMES, ROOT, replaced


def result(cell: str) -> dict[str, Any]:
    machine = {"date": "2026-01-02", "cores": 2, "cpu": "a `cpu`", "kernel": "6.1", "python": "3.11"}
    return {"heads": ("one", "two"), "rows": [(cell, "b|")], "machine": machine}


def test_what_was_not_measured_stays() -> None:
    empty = f"a\n{BEGIN}\n\n{END}\nz"
    both = replaced(empty, {"scrape": result("old"), "rules": result("kept")})
    again = replaced(both, {"scrape": result("new")})
    assert again == both.replace("old ", "new ").replace("| old", "| new")
    assert again.index("new") < again.index("kept")
    assert again.startswith("a\n") and again.endswith("\nz")


def test_readme_keeps_its_tables() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert replaced(readme, {}) == readme
    assert "benchmarks.queries" in readme and "queries" in NAMES
