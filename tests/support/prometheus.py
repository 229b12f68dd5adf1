"""A real Prometheus that scrapes one target, each second unless told otherwise, or is written to."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.mosquitto import free_port, wait_for_port


class Prometheus:
    """As a child process; its data live in `folder`. With a window it takes remote write, so much out of order."""

    def __init__(
        self, folder: Path, target_port: int, rules: str = "", scrape: str = "1s", out_of_order_window: str = ""
    ) -> None:
        self.port, self._folder = free_port(), folder
        self._options = ["--web.enable-remote-write-receiver"] if out_of_order_window else []
        folder.mkdir(exist_ok=True)
        self._config = folder / "prometheus.yaml"
        self._config.write_text(
            f"global: {{scrape_interval: {scrape}, evaluation_interval: {scrape}}}\n"
            "rule_files: [rules.yaml]\nscrape_configs:\n"
            f"- job_name: fibrewatch\n  static_configs: [{{targets: ['127.0.0.1:{target_port}']}}]\n"
            + (
                f"storage: {{tsdb: {{out_of_order_time_window: {out_of_order_window}}}}}\n"
                if out_of_order_window
                else ""
            )
        )
        (folder / "rules.yaml").write_text(rules or "groups: []\n", "utf-8")

    @property
    def write_url(self) -> str:
        """Where it takes remote write."""
        return f"http://127.0.0.1:{self.port}/api/v1/write"

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """An instant vector: labels and value of each series."""
        return [(series["metric"], float(series["value"][1])) for series in self._ask("query", query=expression)]

    def samples(self, selector: str, span: str) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """The very samples that are stored of the last `span`: labels, and times with values, of each series."""
        return [(each["metric"], _pairs(each["values"])) for each in self._ask("query", query=f"{selector}[{span}]")]

    def range(self, expression: str, start: float, end: float, step: float) -> list[list[tuple[float, float]]]:
        """A range query: times with values of each series."""
        found = self._ask("query_range", query=expression, start=start, end=end, step=step)
        return [_pairs(each["values"]) for each in found]

    def _ask(self, what: str, **parameters: object) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def __enter__(self) -> "Prometheus":
        binary = shutil.which("prometheus") or "prometheus"
        options = (f"--config.file={self._config}", f"--storage.tsdb.path={self._folder}/data")
        with (self._folder / "prometheus.log").open("ab") as log:
            argv = [binary, *options, *self._options, f"--web.listen-address=127.0.0.1:{self.port}"]
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        wait_for_port(self.port, timeout_s=60)
        self._wait_until_ready()
        return self

    def _wait_until_ready(self) -> None:
        """It listens before it has read its data, and answers 503 until then."""
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=20).close()
            except urllib.error.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _pairs(values: list[list[Any]]) -> list[tuple[float, float]]:
    return [(float(at), float(value)) for at, value in values]
