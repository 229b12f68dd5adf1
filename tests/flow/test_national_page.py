"""docs/national.md: its configurations are Prometheus' own."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/national.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("text", BLOCKS)
def test_prometheus_takes_what_the_page_says(text: str, tmp_path: Path) -> None:
    assert len(BLOCKS) == 2
    path = tmp_path / "prometheus.yml"
    (tmp_path / "fibrewatch.token").write_text("a token")
    path.write_text(text.replace("/etc/prometheus/fibrewatch.token", str(tmp_path / "fibrewatch.token")))
    argv = [shutil.which("promtool") or "promtool", "check", "config", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "honor_labels: true" in text, "the territory's own labels stay"
