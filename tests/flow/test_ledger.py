"""A running collector: maintenance and rollout declared through API and CLI, and the month that it makes final."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fibrewatch import wire
from fibrewatch.wire import AgentId
from fibrewatch_collector.sla import periods
from fibrewatch_collector.store import Arrival, Delivery
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.collector import CollectorProcess, deliver, site
from tests.support.mosquitto import Mosquitto
from tests.unit.collector.runs import window

BOX, TWIN = AgentId("paris", "cargo", "box-01"), AgentId("paris", "cargo", "box-02")


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[CollectorProcess]:
    with Mosquitto(tmp_path) as broker:
        made = CollectorProcess(tmp_path, broker.port, site("cargo", "box-01", "box-02", mobile=True))
        made.broker_port = broker.port  # type: ignore[attr-defined]
        _last_month(tmp_path / "collector.db")
        with made as started:
            yield started


def _month() -> periods.Period:
    first = datetime.now(UTC).replace(day=1)
    return periods.month((first - timedelta(days=3)).strftime("%Y-%m"), "Europe/Paris")


def _asked() -> str:
    return f"/api/v1/report?site=paris/cargo&month={_month().label}"


def _at(minute: int) -> float:
    return _month().begin.timestamp() + 86400 + 60 * minute


def _last_month(path: Path) -> None:
    """Ten minutes of it, three of them cut."""
    store = SqliteStore(path)
    runs = [
        window(name, _at(number), interface="eth0")
        for number in range(10)
        for name in ("gw -dns -far" if 4 <= number < 7 else "gw dns far").split()
    ]
    arrivals = [Arrival(n, wire.encode(run), run) for n, run in enumerate(runs, 1)]
    store.commit([Delivery(BOX, "a" * 16, 1, _at(12), arrivals)])
    store.close()


def post(collector: CollectorProcess, path: str, body: object, kind: str = "application/json") -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{collector.http}{path}", json.dumps(body).encode(), {"Content-Type": kind}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def fibrewatch(collector: CollectorProcess, *argv: str) -> tuple[int, str, str]:
    argv = ("-m", "fibrewatch_collector.operator.cli", *argv, "--api", f"http://127.0.0.1:{collector.http}")
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def tomorrow(clock: str) -> str:
    return f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d} {clock}"


async def test_declared_by_hand_and_made_final_by_itself(collector: CollectorProcess) -> None:
    await _revisions(collector)
    _maintenance(collector)
    _rollout(collector)


def _maintenance(collector: CollectorProcess) -> None:
    add = ("maintenance", "add", "--site", "paris/cargo", "--who", "Ann", "--why", "new card")
    status, out, err = fibrewatch(collector, *add, "--from", tomorrow("12:00"), "--to", tomorrow("13:00"))
    assert (status, err) == (0, "")
    number = out.split()[1]
    assert out.startswith(f"maintenance {number} of paris/cargo: ")
    status, _, err = fibrewatch(collector, *add, "--from", tomorrow("12:30"), "--to", tomorrow("14:00"))
    assert status == 2
    assert f"overlaps maintenance {number} of paris/cargo" in err
    wish = {"territory": "paris", "site": "cargo", "begin": "2026-01-05T12:00Z", "end": "2026-01-05T13:00Z"}
    status, said = post(collector, "/api/v1/maintenance", wish | {"who": "Bo", "why": "said too late"})
    assert (status, said["in_time"]) == (201, False)
    status, said = post(collector, "/api/v1/maintenance", wish | {"who": "Bo"})
    assert (status, said["error"]) == (400, "the body missing required field `why`")
    status, said = post(collector, "/api/v1/maintenance", wish, "text/plain")
    assert (status, said["error"]) == (400, "the body must be of content type application/json")
    status, said = post(collector, "/api/v1/maintenance", wish | {"who": "Bo", "why": "?", "site": "carg"})
    assert (status, said["error"]) == (404, 'site: there is no "paris/carg" (did you mean cargo?)')
    status, out, _ = fibrewatch(collector, "maintenance", "cancel", number, "--who", "Ann", "--why", "postponed")
    assert (status, out.split(" is ")[0]) == (0, f"maintenance {number} of paris/cargo")
    status, said = post(collector, f"/api/v1/maintenance/{number}/cancel", {"who": "Ann", "why": "again"})
    assert status == 409
    status, out, _ = fibrewatch(collector, "maintenance", "list", "--site", "paris/cargo")
    assert status == 0
    assert ["cancelled" in out, "no: had begun" in out, len(out.splitlines())] == [True, True, 3]
    assert collector.get("/api/v1/maintenance?sight=cargo")[0] == 400


def _rollout(collector: CollectorProcess) -> None:
    done = ("rollout", "set", "--site", "paris/cargo", "--who", "Ann")
    status, _, err = fibrewatch(collector, *done, "--state", "live")
    assert (status, err) == (2, f"fibrewatch: http://127.0.0.1:{collector.http}/api/v1/rollout: HTTP status 409: "
                             "state: paris/cargo begins with planned, not live\n")  # fmt: skip
    on = f"{datetime.fromtimestamp(_at(5), UTC):%Y-%m-%d}"
    for state in ("planned", "wired"):
        assert fibrewatch(collector, *done, "--state", state, "--on", on)[0] == 0
    status, out, _ = fibrewatch(collector, "rollout", "list")
    assert [line.split()[:4] for line in out.splitlines()[1:]] == [
        ["paris/cargo", "-", "planned", on],
        ["paris/cargo", "-", "wired", on],
    ]
    collector.end()
    collector.start()
    collector.wait(lambda: collector.get(f"{_asked()}&revision=2")[0] == 200, "what changed to be made final")
    assert collector.json(f"{_asked()}&revision=2")["revision"]["changes"] != []
    assert [each["state"] for each in collector.json("/api/v1/rollout?site=cargo")["rollout"]] == ["planned", "wired"]


async def _revisions(collector: CollectorProcess) -> None:
    """The month was over more than a week ago, or its box owes nothing: the collector makes it final at its start."""
    month = _month()
    asked = _asked()
    collector.wait(lambda: collector.get(f"{asked}&revision=1")[0] == 200, "the month to be final")
    first = collector.json(f"{asked}&revision=1")
    assert (first["revision"]["number"], first["revision"]["final"]) == (1, True)
    late = [window(name, _at(5), interface="eth0") for name in ("gw", "dns", "far")]
    await deliver(collector.broker_port, TWIN, late, "b" * 16)  # type: ignore[attr-defined]
    collector.wait(lambda: collector.json(asked)["revision"]["number"] == 2, "the late result to be judged")
    status, out, _ = fibrewatch(collector, "report", "--site", "paris/cargo", "--month", month.label, "--revision", "1")
    assert status == 0
    assert json.loads(out) == first
    status, _, err = fibrewatch(collector, "report", "--site", "paris/cargo", "--month", month.label, "--revision", "9")
    assert status == 2
    assert "has no 9; 1 of it made final so far" in err
