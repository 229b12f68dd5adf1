"""Prometheus with the generated rules, Alertmanager, and a receiver of its webhooks that notes when what came."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.support.mosquitto import free_port, wait_for_port
from tests.support.prometheus import Prometheus

RULES = Path(__file__).parents[2] / "grafana/rules/prometheus/fibrewatch.rules.yaml"


class Notice(NamedTuple):
    """One alert of a webhook, and when it came by the monotonic clock."""

    at: float
    name: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def key(self) -> tuple[str, str, str]:
        """What fires where."""
        return self.name, self.labels.get("site") or self.labels.get("target", ""), self.status


class Receiver:
    """An HTTP server on loopback."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        seen = self.notices

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                now = time.monotonic()
                body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for each in body["alerts"]:
                    labels = each["labels"]
                    seen.append(Notice(now, labels["alertname"], each["status"], labels, each["annotations"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    def kinds(self) -> set[tuple[str, str, str]]:
        """All that came."""
        return {each.key for each in self.notices}

    def first(self, *key: str) -> Notice:
        """The first of a kind."""
        return next(each for each in self.notices if each.key == key)


class Stack:
    """Scrape 5 s, evaluation 10 s, no group wait."""

    def __init__(self, folder: Path, collector_port: int) -> None:
        self.receiver = Receiver()
        self._folder, self._port = folder, free_port()
        self.prometheus = Prometheus(folder / "prometheus", collector_port)
        self._manager: subprocess.Popen[bytes] | None = None
        (folder / "alertmanager.yaml").write_text(
            "route: {receiver: all, group_by: [alertname, territory, site, target], group_wait: 0s, "
            "group_interval: 5s, repeat_interval: 1h}\n"
            f"receivers: [{{name: all, webhook_configs: [{{url: 'http://127.0.0.1:{self.receiver.port}/', "
            "send_resolved: true}]}]\n"
        )
        (folder / "prometheus/prometheus.yaml").write_text(
            "global: {scrape_interval: 5s, evaluation_interval: 10s}\n"
            f"rule_files: ['{RULES}']\n"
            f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{self._port}']}}]}}]}}\n"
            "scrape_configs:\n- job_name: fibrewatch\n"
            f"  static_configs: [{{targets: ['127.0.0.1:{collector_port}']}}]\n"
        )

    def wait(self, met: Callable[[], bool], what: str, timeout_s: float = 120) -> None:
        """Polls; says what came when it does not come true."""
        deadline = time.monotonic() + timeout_s
        while not met():
            assert time.monotonic() < deadline, f"waited for {what}: {sorted(self.receiver.kinds())}"
            time.sleep(0.05)

    def __enter__(self) -> Self:
        argv = ["prometheus-alertmanager", f"--config.file={self._folder}/alertmanager.yaml"]
        argv += [f"--storage.path={self._folder}/alertmanager", "--cluster.listen-address="]
        argv += [f"--web.listen-address=127.0.0.1:{self._port}"]
        with (self._folder / "alertmanager.log").open("ab") as log:
            self._manager = subprocess.Popen(argv, stdout=log, stderr=log)
        wait_for_port(self._port, timeout_s=60)
        self.prometheus.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.prometheus.__exit__()
        if self._manager is not None:
            self._manager.kill()
            self._manager.wait()
        self.receiver.server.shutdown()
        self.receiver.server.server_close()
