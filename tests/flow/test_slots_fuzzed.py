"""The control API against schemathesis: whatever is sent, no answer is a fault of ours, and each is as documented."""

import json
import subprocess
import sys
from pathlib import Path

from fibrewatch_agent.responder import openapi
from tests.support.slots import Responder

EXAMPLES = 25
ROOT = Path(__file__).parents[2]


def test_nothing_that_is_sent_makes_it_fail(tmp_path: Path) -> None:
    """Phases: cases at the edges of the schema, random ones, and sequences that use ids from earlier answers."""
    with Responder(tmp_path, limits='claim = "1 s"\nwait = "100 ms"\nqueued_per_agent = 1000') as responder:
        control = responder.control()
        assert control.token
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{control.urls[0]}/openapi.json"]
        command += ["-H", f"Authorization: Bearer {control.token.read_text()}", "--max-examples", str(EXAMPLES)]
        command += ["--checks", "not_a_server_error,response_schema_conformance,status_code_conformance"]
        command += ["--mode", "all", "--seed", "1", "--no-color", "--request-timeout", "40", "--workers", "4"]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
        assert responder.process.poll() is None
        assert responder.status()["capacity"] > 0
        assert "Traceback" not in responder.log()


def test_document_is_the_one_in_docs() -> None:
    told = json.loads((ROOT / "docs/responder.openapi.json").read_text())
    assert told == json.loads(json.dumps(openapi.document())), "run make golden"
