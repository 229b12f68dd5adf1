"""The control API against schemathesis: whatever is sent, no answer is a fault of ours, and each is as documented."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fibrewatch_agent.responder import openapi
from tests.support.slots import Responder

EXAMPLES = 8
ROOT = Path(__file__).parents[2]


def test_nothing_that_is_sent_makes_it_fail(tmp_path: Path) -> None:
    """Phases: cases at the edges of the schema, random ones, and sequences that use ids from earlier answers."""
    with Responder(tmp_path, limits='claim = "1 s"\nwait = "0 s"\nqueued_per_agent = 1000') as responder:
        control = responder.control()
        assert control.token
        known = json.dumps(f"Bearer {control.token.read_text()}")  # in a file: others see a command line
        (tmp_path / "schemathesis.toml").write_text(f"headers = {{ Authorization = {known} }}\n")
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{control.urls[0]}/openapi.json"]
        command += ["--max-examples", str(EXAMPLES)]
        command += ["--checks", "not_a_server_error,response_schema_conformance,status_code_conformance"]
        command += ["--mode", "all", "--seed", "1", "--no-color", "--request-timeout", "40", "--workers", "4"]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
        assert responder.process.poll() is None
        assert responder.status()["capacity"] > 0
        assert "Traceback" not in responder.log()


RAW = [
    (b"POST /v1/slots HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\xff\xfe", 401),
    (b"POST /v1/slots HTTP/1.1\r\nHost: x\r\n%bContent-Length: 2\r\n\r\n\xff\xfe", 400),
    (b"POST /v1/slots HTTP/1.1\r\nHost: x\r\n%bContent-Length: 15000\r\n\r\n" + b"[" * 15000, 422),
    (b"POST /v1/slots HTTP/1.1\r\nHost: x\r\n%bContent-Length: 20000\r\n\r\n" + b" " * 20000, 413),
    (b"POST /v1/slots HTTP/1.1\r\nHost: x\r\n%bTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"POST /v1/slots HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\nContent-Length: 0\r\n\r\n", 401),
    (b"GET /v1/slots/%%2e%%2e HTTP/1.1\r\nHost: x\r\n%b\r\n", 404),
    (b"PATCH /v1/slots HTTP/1.1\r\nHost: x\r\n%b\r\n", 405),
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
]


def test_bytes_that_no_client_would_send_are_refused(tmp_path: Path) -> None:
    with Responder(tmp_path) as responder:
        control = responder.control()
        assert control.token
        known = b"Authorization: Bearer %b\r\n" % control.token.read_bytes()
        for raw, status in RAW:
            with socket.create_connection(("127.0.0.1", responder.port), timeout=30) as connection:
                connection.sendall(raw.replace(b"%b", known).replace(b"%%", b"%"))
                assert connection.recv(4096).split()[1] == b"%d" % status, raw[:80]
        assert "Traceback" not in responder.log()


@pytest.mark.parametrize("packing", ["gzip", "deflate", "br", "zstd", "x, y", ""])
def test_packed_body_is_refused_with_a_reason(tmp_path: Path, packing: str) -> None:
    head = f"Content-Encoding: {packing}\r\nContent-Length: 10\r\n".encode()
    with Responder(tmp_path) as responder:
        status, problem = _posted(responder, head, b"not-gzip!!")
        assert (status, problem["error"]) == (415, "encoding")
        assert "Traceback" not in responder.log()


def test_body_that_breaks_in_the_middle_is_refused_with_a_reason(tmp_path: Path) -> None:
    with Responder(tmp_path) as responder:
        status, problem = _posted(responder, b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n", b"zz\r\n\r\n")
        assert (status, problem["error"]) == (400, "malformed")
        assert "Traceback" not in responder.log()


def _posted(responder: Responder, head: bytes, *parts: bytes) -> tuple[int, dict[str, str]]:
    """The answer to a question of the box whose body comes in these parts."""
    token = responder.control().token
    assert token
    with socket.create_connection(("127.0.0.1", responder.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/slots HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token.read_bytes() + b"\r\n"
        )
        connection.sendall(head + b"\r\n")
        for part in parts:
            time.sleep(0.2)  # so that it is read by itself
            connection.sendall(part)
        answer = connection.recv(4096)
    return int(answer.split()[1]), json.loads(answer.partition(b"\r\n\r\n")[2])


def test_document_is_the_one_in_docs() -> None:
    told = json.loads((ROOT / "docs/responder.openapi.json").read_text())
    assert told == json.loads(json.dumps(openapi.document())), "run make golden"
