"""A running collector asked over real connections: each route by each scope, certificates, browsers, limits, record."""

import gzip
import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from fibrewatch.results import PROBES
from fibrewatch_collector.access import scopes
from fibrewatch_collector.access.audit import Audit
from fibrewatch_collector.access.records import TokenFile
from fibrewatch_collector.config import Config
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.own_metrics import OwnMetrics
from fibrewatch_collector.store.sqlite import SqliteStore
from fibrewatch_collector.web.listening import Door
from fibrewatch_collector.web.server import Server
from tests.support import secrets_scan
from tests.support.certificates import Authority
from tests.support.collector import CollectorProcess, run_cli, site
from tests.support.mosquitto import free_ports

NOWHERE = "127.0.9.1"
"""An address of this machine that the collectors here are told to take for another's."""
_strangers = count(1)


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(
    collector: CollectorProcess,
    method: str,
    path: str,
    *,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    source: str = NOWHERE,
    tls: ssl.SSLContext | None = None,
    port: int | None = None,
) -> Answer:
    """One request over a connection of its own."""
    where, bound = ("127.0.0.1", port or collector.http), (source, 0)
    if tls is not None:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            *where, timeout=30, source_address=bound, context=tls
        )
    else:
        connection = http.client.HTTPConnection(*where, timeout=30, source_address=bound)
    sent = dict(headers or {}) | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def stranger() -> str:
    """Another address each time."""
    number = next(_strangers)
    return f"127.1.{number // 250}.{number % 250 + 1}"


def collector(folder: Path, settings: str) -> CollectorProcess:
    made = CollectorProcess(folder, free_ports(1)[0], site("cargo", "box-01"))
    text = made.config.read_text()
    made.config.write_text(f'{text}free = ["127.0.0.1/32"]\nrequests_per_minute = 100000\n{settings}')
    return made


def tokens(made: CollectorProcess) -> dict[str, str]:
    """One of each scope, one that has expired, one that was revoked, one that nobody made."""
    now, file = datetime.now(UTC), TokenFile(made.folder / "access.db")
    kept = {scope: file.add(scope, scope, now, None) for scope in scopes.SCOPES}
    kept["expired"] = file.add("old", "admin", now - timedelta(days=2), now - timedelta(days=1))
    kept["revoked"] = file.add("gone", "admin", now, None)
    file.revoke("gone", now)
    kept["wrong"] = kept["admin"][:-4] + "AAAA"
    return {name: secrets_scan.register(text, f"token {name}") for name, text in kept.items()}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CollectorProcess, dict[str, str]]]:
    made = collector(tmp_path_factory.mktemp("api"), "")
    with_metrics = made.config.read_text() + f'[http.metrics]\naddress = "127.0.0.1:{free_ports(1)[0]}"\n'
    made.config.write_text(with_metrics)
    kept = tokens(made)
    made.launch()
    try:
        yield made, kept
    finally:
        made.end()


def routes(folder: Path) -> list[tuple[str, str]]:
    """Method and path of all that the server serves, from the server itself."""
    (folder / "sites.toml").write_text('[[territory]]\nid = "paris"\nname = "Paris"\n' + site("cargo", "box-01"))
    store = SqliteStore(folder / "collector.db")
    own = OwnMetrics("0")
    hub = Hub(load_inventory(folder / "sites.toml"), PROBES, own, time.time)

    async def write(_: Any) -> Any:
        raise AssertionError

    try:
        app = Server(hub, store, write, Config()).app()
    finally:
        store.close()
    found = [(route.method, route.resource) for route in app.router.routes()]
    return [(method, each.canonical) for method, each in found if isinstance(each, web.Resource)]


def test_every_route_by_every_scope(tmp_path: Path, served: tuple[CollectorProcess, dict[str, str]]) -> None:
    made, kept = served
    found = routes(tmp_path)
    listed = {*scopes.PUBLIC, *scopes.OTHERS}
    assert listed <= {each for each in found if each[0] != "HEAD"}, "a rule for a route that is not there"
    assert len(found) > 25 and {method for method, _ in found} == {"GET", "HEAD", "POST"}
    wrong = []
    for method, canonical in found:
        wanted = scopes.needed(method, canonical)
        path = re.sub(r"{(\w+)}", lambda name: "1" if name[1] == "id" else "cargo", canonical)
        if (method, canonical) == ("POST", "/signin"):
            continue
        for name, shown in [("none", None), *kept.items()]:
            held = name if name in scopes.SCOPES else None
            expected = "ok" if wanted is None else "401" if held is None else "403"
            if held is not None and wanted is not None and scopes.covers(held, wanted):
                expected = "ok"
            answer = ask(made, method, path, token=shown, source=stranger())
            told = str(answer.status) if answer.status in (401, 403, 429, 500) else "ok"
            if told != expected:
                wrong.append((method, canonical, name, expected, answer))
            challenge = answer.headers.get("WWW-Authenticate", "")
            assert challenge.startswith("Bearer realm=") == (expected != "ok")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            policy = answer.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy
            assert "script" not in policy or "script-src 'self';" in policy
            secrets_scan.answered(answer.body, f"{method} {path}")
    assert not wrong


def test_metrics_have_an_address_of_their_own(served: tuple[CollectorProcess, dict[str, str]]) -> None:
    made, kept = served
    match = re.search(r"\[http.metrics\]\naddress = \"127.0.0.1:(\d+)\"", made.config.read_text())
    assert match is not None
    port = int(match[1])
    assert ask(made, "GET", "/metrics", port=port).status == 401
    assert b"fibrewatch_collector_info" in ask(made, "GET", "/metrics", port=port, token=kept["metrics"]).body
    assert ask(made, "GET", "/api/v1/sites", port=port, token=kept["admin"]).status == 404


def test_this_machine_needs_no_token_but_for_what_is_admins(served: tuple[CollectorProcess, dict[str, str]]) -> None:
    made, _ = served

    def status(path: str, **headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(made, "GET", path, source="127.0.0.1", headers=sent).status

    assert [status(each) for each in ("/api/v1/sites", "/", "/metrics", "/api/v1/tokens")] == [200, 200, 200, 403]
    assert status("/api/v1/sites", X_Forwarded_For="127.0.0.1") == status("/api/v1/sites", Forwarded="for=::1") == 401
    assert status("/api/v1/sites", Host="rebound.example") == 403
    assert status("/api/v1/sites", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors") == 403
    answer = ask(
        made, "POST", "/api/v1/rollout", source="127.0.0.1", headers={"Origin": "http://evil.example"}, body="{}"
    )
    assert (answer.status, b"another site" in answer.body) == (403, True)


def test_guessing_is_slowed_down_and_a_right_token_elsewhere_is_not(
    served: tuple[CollectorProcess, dict[str, str]],
) -> None:
    made, kept = served
    guesser, guess = stranger(), secrets_scan.register(kept["admin"][:-6] + "BBBBBB", "a guess")
    tries = [ask(made, "GET", "/api/v1/sites", token=guess, source=guesser) for _ in range(11)]
    assert [each.status for each in tries] == [401] * 10 + [429]
    assert 1 <= int(tries[-1].headers["Retry-After"]) <= 6
    assert ask(made, "GET", "/api/v1/sites", token=kept["read"], source=guesser).status == 429
    assert ask(made, "GET", "/api/v1/sites", token=kept["read"], source=stranger()).status == 200
    metrics = ask(made, "GET", "/metrics", token=kept["metrics"]).body.decode()
    limited = re.search(r'http_refused_total\{reason="limited"\} (\d+)', metrics)
    assert limited is not None and int(limited[1]) >= 2


def test_a_browser_signs_in_and_out(served: tuple[CollectorProcess, dict[str, str]]) -> None:
    made, kept = served
    html = {"Accept": "text/html"}
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{made.http}"}
    first = ask(made, "GET", "/sites/paris/cargo/report?lang=fr", headers=html)
    assert (first.status, b'value="/sites/paris/cargo/report?lang=fr"' in first.body) == (401, True)
    link = ask(made, "GET", "/", headers=html | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert b'http-equiv="refresh"' in link.body and b"<form" not in link.body
    bad = ask(made, "POST", "/signin", headers=form, body=f"token={kept['expired']}&next=/", source=stranger())
    assert (bad.status, b"the token is expired" in bad.body) == (401, True)
    foreign = ask(
        made, "POST", "/signin", headers=form | {"Origin": "http://evil.example"}, body=f"token={kept['read']}"
    )
    assert foreign.status == 403 and foreign.headers["Set-Cookie"] is None
    assert ask(made, "POST", "/signin", headers=form, body=f"token={kept['metrics']}").status == 403
    for after in ("//evil.example/", "https://evil.example/", "/\\evil.example"):
        there = ask(made, "POST", "/signin", headers=form, body=f"token={kept['operate']}&next={after}")
        assert (there.status, there.headers["Location"]) == (303, "/")
    done = ask(made, "POST", "/signin", headers=form, body=f"token={kept['operate']}&next=/sites/a/b/report")
    cookie = done.headers["Set-Cookie"]
    assert done.headers["Location"] == "/sites/a/b/report"
    assert cookie.startswith("__Host-fibrewatch=") and "Domain" not in cookie
    assert all(each in cookie for each in ("; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/"))
    mine = {"Cookie": secrets_scan.register(cookie.partition(";")[0], "a session")}
    page = ask(made, "GET", "/", headers=mine | html)
    assert (page.status, b'action="/signout"' in page.body, b"<script>" in page.body) == (200, True, False)
    assert ask(made, "GET", "/api/v1/sites", headers=mine).status == 200
    assert ask(made, "GET", "/api/v1/tokens", headers=mine).status == 403
    forged = mine | {"Content-Type": "application/json", "Origin": "https://evil.example"}
    assert ask(made, "POST", "/api/v1/rollout", headers=forged, body="{}").status == 403
    own = forged | {"Origin": f"http://127.0.0.1:{made.http}"}
    assert ask(made, "POST", "/api/v1/rollout", headers=own, body="{}").status == 400
    assert ask(made, "POST", "/signout", headers=mine | {"Origin": "http://evil.example"}).status == 403
    assert ask(made, "POST", "/signout", headers=mine).status == 303
    assert ask(made, "GET", "/api/v1/sites", headers=mine).status == 401


def test_a_revoked_token_is_void_within_seconds_and_its_sessions_too(
    served: tuple[CollectorProcess, dict[str, str]],
) -> None:
    made, kept = served
    text = secrets_scan.register(TokenFile(made.folder / "access.db").add("screen", "read", datetime.now(UTC), None))
    made.wait(lambda: ask(made, "GET", "/api/v1/sites", token=text, source=stranger()).status == 200, "the new token")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    cookie = ask(made, "POST", "/signin", headers=form, body=f"token={text}").headers["Set-Cookie"].partition(";")[0]
    assert ask(made, "GET", "/", headers={"Cookie": cookie}).status == 200
    answer = ask(made, "POST", "/api/v1/tokens/screen/revoke", token=kept["admin"])
    assert (answer.status, json.loads(answer.body)["tokens"][0]["name"]) == (200, "screen")
    made.wait(lambda: ask(made, "GET", "/api/v1/sites", token=text, source=stranger()).status == 401, "its end")
    assert ask(made, "GET", "/", headers={"Cookie": cookie}).status == 401
    listed = ask(made, "GET", "/api/v1/tokens", token=kept["admin"])
    shown = json.loads(listed.body)["tokens"]
    assert {"screen", "read", "old"} <= {each["name"] for each in shown} and not any("hash" in each for each in shown)


def test_changes_over_the_api_are_recorded_with_their_outcome(
    served: tuple[CollectorProcess, dict[str, str]],
) -> None:
    made, kept = served
    source, kind = stranger(), {"Content-Type": "application/json"}
    wish = {"territory": "paris", "site": "cargo", "state": "planned", "who": "Ann", "note": "first"}
    for _ in range(3):  # of which one is recorded
        tried = ask(made, "POST", "/api/v1/rollout", token=kept["read"], headers=kind, body="{}", source=source)
        assert tried.status == 403
    for expected in (201, 409):
        body = json.dumps(wish)
        done = ask(made, "POST", "/api/v1/rollout", token=kept["operate"], headers=kind, body=body, source=source)
        assert done.status == expected, done.body
    changes = json.loads(ask(made, "GET", "/api/v1/audit", token=kept["admin"]).body)["changes"]
    mine = [each for each in changes if each["origin"] == source]
    denied, *mine = mine
    assert (denied["who"], denied["what"]) == ("token read", "POST /api/v1/rollout")
    assert denied["outcome"] == "refused (403): token read has the scope read, this takes operate"
    assert [(each["who"], each["what"]) for each in mine] == [("token operate", "POST /api/v1/rollout")] * 2
    assert mine[0]["outcome"] == "done (201)" and mine[1]["outcome"].startswith("refused (409): ")
    assert '"who": "Ann"' in mine[0]["detail"]
    assert Audit(made.folder / "audit.db").changes()


def test_what_is_wrong_or_endless_is_bounded_and_leaves_no_secret_in_the_log(
    served: tuple[CollectorProcess, dict[str, str]],
) -> None:
    made, kept = served
    kind = {"Content-Type": "application/json"}
    huge = ask(made, "POST", "/api/v1/rollout", token=kept["operate"], headers=kind, body="x" * (1 << 17))
    assert huge.status == 413
    assert ask(made, "POST", "/api/v1/rollout", headers=kind, body="x" * (1 << 17), source=stranger()).status == 401
    long = ask(made, "GET", "/", headers={"X-Long": "x" * 20_000})
    assert long.status == 400
    spoilt = ask(made, "GET", "/", headers={"Authorization": f"Bearer {kept['read']}\x01"}, source=stranger())
    assert spoilt.status in (400, 401)
    query = ask(made, "GET", f"/api/v1/sites?token={kept['read']}", source=stranger())
    assert query.status == 401
    log = made.log.read_text()
    assert not [name for name, text in kept.items() if text in log]


def raw(made: CollectorProcess, data: bytes) -> tuple[int, bytes]:
    """Bytes that no client's library would send; status and body."""
    with socket.create_connection(("127.0.0.1", made.http), timeout=60, source_address=(stranger(), 0)) as connection:
        connection.sendall(data)
        answer = connection.recv(65536)
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


def post(path: str, token: str, body: bytes, *headers: str) -> bytes:
    known = (
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\n".encode() + "".join(f"{e}\r\n" for e in known).encode() + b"\r\n" + body
    )


def test_what_no_client_would_send_is_refused_and_forges_no_line(
    served: tuple[CollectorProcess, dict[str, str]],
) -> None:
    """Packed bodies, endless nesting, forms that are none, paths with breaks in them: each a 4xx."""
    made, kept = served
    bomb = gzip.compress(bytes(20 << 20), 1)
    assert raw(made, post("/api/v1/rollout", kept["operate"], bomb, "Content-Encoding: gzip"))[0] == 415
    assert raw(made, post("/api/v1/rollout", "", bomb, "Content-Encoding: gzip"))[0] == 415
    for body in (b"[" * 16_000, b'{"x":' + b"[" * 16_000, b'{"x":"\xff"}', b"\xff"):
        for path in ("/api/v1/rollout", "/api/v1/maintenance", "/api/v1/rollout/accept"):
            assert raw(made, post(path, kept["operate"], body))[0] == 400, body[:20]
    form = b"POST /signin HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: 8\r\n\r\ntoken=\xff\xfe"
    kinds = {b"application/x-www-form-urlencoded": 400, b"application/x-www-form-urlencoded; charset=none": 400}
    for kind, status in {**kinds, b"multipart/form-data; boundary=x": 415, b"text/plain": 415}.items():
        assert raw(made, form.replace(b"%b", kind))[0] == status, kind
    tokens_path = b"/api/v1/tokens"
    for path in (
        b"/" + tokens_path,
        tokens_path + b"/",
        b"/api/v1/%74okens",
        b"/healthz/.." + tokens_path,
        b"/%2e%2e" + tokens_path,
    ):
        for shown in ("read", "operate"):
            asked = b"GET %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n" % (path, kept[shown].encode())
            status, body = raw(made, asked)
            assert status in (403, 404) and b"made_at" not in body, path
    assert raw(made, post("/api/v1/tokens/x%0Aadmin%1b%5b31m/revoke", kept["admin"], b""))[0] == 404
    told = run_audit(made)
    assert "\x1b" not in told and not re.search(r"^admin", told, re.MULTILINE)
    assert "POST /api/v1/tokens/x%0Aadmin%1b%5b31m/revoke: refused (404)" in told
    assert "Traceback" not in made.log.read_text()


def run_audit(made: CollectorProcess) -> str:
    command = [sys.executable, "-m", "fibrewatch_collector.operator.cli", "audit", "--config", str(made.config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


# ---- TLS


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CollectorProcess, Authority, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder / "ours")
    server = authority.certificate("server")
    server.chmod(0o600)
    authority.certificate("stolen", subject="/CN=stolen", names="DNS:stolen")
    crl = authority.revoke("stolen")
    clients = '{noc = "operate", stolen = "admin", late = "admin"}'
    made = collector(
        folder,
        f'[http.tls]\ncertificate = "{server}"\nclient_ca = "{authority.pem}"\nclient_crl = "{crl}"\n'
        f"clients = {clients}\n",
    )
    made.launch()
    try:
        yield made, authority, folder
    finally:
        made.end()


def context(authority: Authority, certificate: Path | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=authority.pem)
    if certificate is not None:
        made.load_cert_chain(certificate)
    return made


def test_certificates_have_the_scope_of_their_name(secured: tuple[CollectorProcess, Authority, Path]) -> None:
    made, ours, folder = secured
    other = Authority(folder / "other")

    def status(certificate: Path | None, path: str = "/api/v1/sites") -> int | str:
        try:
            return ask(made, "GET", path, tls=context(ours, certificate)).status
        except (ssl.SSLError, ConnectionError) as e:
            return type(e).__name__

    noc = ours.certificate("noc", subject="/CN=noc", names="DNS:noc")
    assert [status(noc), status(noc, "/api/v1/tokens"), status(None)] == [200, 403, 401]
    assert status(ours.certificate("guest", subject="/CN=guest", names="DNS:guest")) == 401
    assert status(ours.folder / "stolen.pem") == 401
    for bad in (
        other.certificate("noc", subject="/CN=noc", names="DNS:noc"),
        ours.certificate("late", subject="/CN=late", names="DNS:late", end="20210101000000Z"),
    ):
        assert status(bad) in ("SSLError", "ConnectionResetError", "BrokenPipeError", "RemoteDisconnected")
    body = {"Content-Type": "application/json", "Origin": "https://evil.example"}
    forged = ask(made, "POST", "/api/v1/rollout", tls=context(ours, noc), headers=body, body="{}")
    assert forged.status == 403  # a browser would show the certificate whoever asks
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(made, "GET", "/healthz")


def test_a_renewed_certificate_is_taken_up_by_sighup_and_a_bad_one_is_not(
    secured: tuple[CollectorProcess, Authority, Path],
) -> None:
    made, ours, _ = secured
    file, process = ours.folder / "server.pem", made.process
    assert process is not None
    before = file.read_bytes()

    def serial() -> int:
        plain = socket.create_connection(("127.0.0.1", made.http), timeout=30)
        with context(ours).wrap_socket(plain, server_hostname="localhost") as secure:
            return int((secure.getpeercert() or {})["serialNumber"], 16)  # type: ignore[arg-type]

    first = serial()
    file.write_text("no certificate")
    process.send_signal(signal.SIGHUP)
    made.wait(lambda: "the certificate in force stays" in made.log.read_text(), "the refusal")
    assert serial() == first
    file.write_bytes(ours.certificate("renewed").read_bytes())
    process.send_signal(signal.SIGHUP)
    made.wait(lambda: serial() != first, "the renewed one")
    file.write_bytes(before)


def test_commands_take_the_token_from_a_file_and_no_redirects(
    secured: tuple[CollectorProcess, Authority, Path], tmp_path: Path
) -> None:
    made, ours, _ = secured

    def fibrewatch(*argv: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "fibrewatch_collector.operator.cli", *argv]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)

    config = ["--config", str(made.config)]
    added = fibrewatch("token", "add", "ann", "--scope", "operate", "--out", "token", *config)
    assert (added.returncode, "token ann, scope operate, until " in added.stdout) == (0, True), added.stderr
    file = tmp_path / "token"
    secret = secrets_scan.register(file.read_text().strip(), "Ann's token")
    assert file.stat().st_mode & 0o777 == 0o600 and secret not in added.stdout + added.stderr
    api = ["--api", f"https://127.0.0.1:{made.http}", "--ca", str(ours.pem)]
    step = ["rollout", "set", *api, "--site", "paris/cargo", "--state", "planned", "--who", "Ann"]
    made.wait(lambda: fibrewatch("sites", *api, "--token-file", "token").returncode == 0, "the token")
    done = fibrewatch(*step, "--token-file", "token")
    assert done.returncode == 0, done.stderr
    plain = fibrewatch("sites", "--api", "http://192.0.2.1:1", "--token-file", "token")
    assert (plain.returncode, "the token would travel readable: use https://" in plain.stderr) == (2, True)
    revoked = fibrewatch("token", "revoke", "ann", *config)
    assert (revoked.returncode, revoked.stdout) == (0, "ann: revoked\n")
    again = fibrewatch("token", "revoke", "ann", *config)
    assert (again.returncode, "there is no token 'ann' (fibrewatch token list)" in again.stderr) == (2, True)
    told = fibrewatch("audit", "--format", "json", *config)
    changes = [json.loads(line) for line in told.stdout.splitlines()]
    what = [
        (each["what"], each["outcome"].partition(":")[0]) for each in changes if "ann" in each["what"] + each["who"]
    ]
    assert what == [
        ("token add ann", "done"),
        ("POST /api/v1/rollout", "done (201)"),
        ("token revoke ann", "done"),
        ("token revoke ann", "failed"),
    ]
    assert secret not in told.stdout


def test_a_damaged_file_of_tokens_lets_nobody_in_and_collecting_goes_on(tmp_path: Path) -> None:
    made = collector(tmp_path, 'proxies = ["192.0.2.1"]\n')
    made.config.write_text(made.config.read_text().replace('"127.0.0.1:', '"0.0.0.0:'))
    (tmp_path / "access.db").write_bytes(b"not a database" * 100)
    (tmp_path / "audit.db").write_bytes(b"not a database" * 100)
    made.launch()
    wish = '{"territory": "paris", "site": "cargo", "state": "planned", "who": "Ann"}'
    kind = {"Content-Type": "application/json"}
    assert ask(made, "GET", "/api/v1/sites", token="fw_0123456789ab_" + "x" * 43).status == 503
    assert ask(made, "GET", "/api/v1/sites", source="127.0.0.1").status == 200
    refused = ask(made, "POST", "/api/v1/rollout", source="127.0.0.1", headers=kind, body=wish)
    steps = ask(made, "GET", "/api/v1/rollout", source="127.0.0.1")
    assert (refused.status, json.loads(steps.body)) == (503, {"rollout": []})
    assert made.end() == 0
    assert "access.db: file is not a database" in made.log.read_text()


def test_check_config_says_what_is_missing(tmp_path: Path) -> None:
    made = CollectorProcess(tmp_path, 1, site("cargo", "box-01"))
    text = made.config.read_text().replace("127.0.0.1", "0.0.0.0")
    for settings, problem in (
        ("", "tokens would travel readable"),
        ('proxies = ["192.0.2.1"]\n', "no token that is good"),
    ):
        made.config.write_text(text + settings)
        told = run_cli("check-config", "--config", str(made.config))
        assert (told.returncode, told.stderr.count("\n"), problem in told.stderr) == (2, 1, True), told.stderr


# ---- connections


async def test_a_connection_that_does_not_get_to_the_point_is_ended_and_one_address_has_only_so_many() -> None:
    import asyncio

    door = Door(lambda host: False, ask_within_s=0.3)

    async def hello(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)  # longer than a request may take to come
        return web.Response(text="hello")

    app = web.Application(middlewares=[door.watch])
    app.router.add_get("/", hello)
    runner, (port,) = web.AppRunner(app), free_ports(1)
    await runner.setup()
    await door.listen(runner, "127.0.0.1", port, None)
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            writer.write(b"GET / HTTP/1.1\r\nHost: ")
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await reader.readexactly(1)
            writer.close()
            many = [await asyncio.open_connection("127.0.0.1", port) for _ in range(70)]
            ended = [asyncio.ensure_future(each.read(1)) for each, _ in many]
            await asyncio.gather(*ended, return_exceptions=True)  # the first 64 late, the others at once
            for _, each in many:
                each.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            writer.close()
    finally:
        door.close()
        await runner.cleanup()
