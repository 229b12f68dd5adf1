"""Who may ask for what, without a network: tokens, limits, sessions, where requests come from, the record."""

import hmac
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fibrewatch.errors import ConfigError
from fibrewatch_collector.access import AccessError, audit, origin, reachable, scopes, tokens
from fibrewatch_collector.access.audit import Audit
from fibrewatch_collector.access.keyring import KEPT_S, KeyRing
from fibrewatch_collector.access.limits import Buckets
from fibrewatch_collector.access.records import TokenFile
from fibrewatch_collector.access.sessions import Sessions
from fibrewatch_collector.config import load_config
from tests.support import secrets_scan

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
YEAR = timedelta(days=365)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def token(file: TokenFile, name: str = "noc", scope: scopes.Scope = "read", lasts: timedelta | None = YEAR) -> str:
    return secrets_scan.register(file.add(name, scope, NOW, NOW + lasts if lasts else None))


# ---- tokens


def test_only_a_hash_is_kept_and_the_file_is_private(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "access.db")
    text = token(file)
    secret = tokens.presented(text)
    assert secret is not None and secret.secret.encode() not in file.path.read_bytes()
    assert file.path.stat().st_mode & 0o077 == 0
    ((kept, digest),) = file.all()
    assert (kept.name, kept.scope, kept.problem(NOW)) == ("noc", "read", None)
    assert tokens.is_right(secret.secret, digest) and not tokens.is_right(secret.secret[:-1] + "~", digest)


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A known one and an unknown one alike, by hmac.compare_digest over hashes of one length."""
    real, compared = hmac.compare_digest, list[tuple[int, int]]()

    def watched(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(tokens.hmac, "compare_digest", watched)
    made = tokens.make()
    shown = tokens.presented(secrets_scan.register(made.text))
    assert shown is not None
    assert [tokens.is_right(shown.secret, made.hash), tokens.is_right("x", made.hash)] == [True, False]
    assert [tokens.is_right("", None), tokens.is_right("x", None)] == [False, False]
    assert compared == [(32, 32)] * 4


@pytest.mark.parametrize("text", ["", "fw_", "fw_00_x", "Basic eA==", "fw_0123456789ab_" + "é" * 43, "x" * 100_000])
def test_what_has_not_the_form_of_a_token_is_none(text: str) -> None:
    assert tokens.presented(text) is None


def test_a_name_is_free_again_once_its_token_is_void(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "access.db")
    first = token(file, lasts=timedelta(hours=1))
    with pytest.raises(AccessError, match="there is a token 'noc': revoke it first"):
        file.add("noc", "read", NOW, None)
    later = NOW + timedelta(hours=1)
    second = secrets_scan.register(file.add("noc", "admin", later, None))
    assert [each.problem(later) for each, _ in file.all()] == ["revoked", None] and first != second
    assert [file.revoke("noc", later), file.revoke("noc", later), file.revoke("other", later)] == [True, False, False]


async def test_the_ring_sees_new_and_revoked_tokens_within_a_second(tmp_path: Path) -> None:
    clock, file = Clock(), TokenFile(tmp_path / "access.db")
    ring = KeyRing(file, clock)
    assert await ring.find("fw_0123456789ab_" + "x" * 43) is None
    text = token(file)
    clock.now += 1.0
    found = await ring.find(text)
    assert found is not None and await ring.find(text[:-1] + ("A" if text[-1] != "A" else "B")) is None
    ring.used(found, NOW, "192.0.2.7")
    await ring.close()
    ((kept, _),) = file.all()
    assert (kept.used_at, kept.used_from) == (NOW, "192.0.2.7")
    file.revoke("noc", NOW)
    clock.now += 1.0
    found = await ring.find(text)
    assert found is not None and found.problem(NOW) == "revoked"


async def test_an_unreadable_list_is_believed_for_a_minute_only(tmp_path: Path) -> None:
    clock, file = Clock(), TokenFile(tmp_path / "access.db")
    ring, text = KeyRing(file, clock), token(file)
    assert await ring.find(text) is not None
    file.path.write_bytes(b"not a database" * 100)
    clock.now += 2.0
    assert await ring.find(text) is not None
    clock.now += KEPT_S
    with pytest.raises(AccessError, match="tokens can't be read"):
        await ring.find(text)


# ---- limits and sessions


def test_a_bucket_fills_again_and_only_so_many_are_kept() -> None:
    clock = Clock()
    buckets = Buckets(per_s=0.5, burst=2, most=3, clock=clock)
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 2.0]
    clock.now = 2.0
    assert (buckets.wait("a"), buckets.take("a"), buckets.wait("a")) == (0.0, 0.0, 2.0)
    for each in range(1000):
        buckets.take(str(each))
    assert len(buckets) == 3


def test_sessions_end_and_are_bounded() -> None:
    clock = Clock()
    sessions = Sessions(60.0, most=2, clock=clock)
    first, second, third = (sessions.open(name) for name in "abc")
    assert [sessions.token(each) for each in (first, second, third, "\ud800")] == [None, "b", "c", None]
    sessions.close(second)
    clock.now = 60.0
    assert [sessions.token(each) for each in (second, third)] == [None, None]


# ---- where from


def test_who_asked_is_told_by_our_own_proxies_only() -> None:
    proxies = origin.networks(["127.0.0.1", "10.0.0.0/8"])
    peer, proxy = origin.address("192.0.2.7"), origin.address("::ffff:127.0.0.1")
    assert str(origin.client(peer, {"X-Forwarded-For": "127.0.0.1"}, proxies)) == "192.0.2.7"
    assert (
        str(origin.client(proxy, {"X-Forwarded-For": "127.0.0.1, 198.51.100.3, 10.2.3.4"}, proxies)) == "198.51.100.3"
    )
    assert str(origin.client(proxy, {"X-Forwarded-For": "nonsense"}, proxies)) == "127.0.0.1"
    assert (
        origin.key(origin.address("2001:db8::1:2")) == origin.key(origin.address("2001:db8::ffff")) == "2001:db8::/64"
    )


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost:8480", True),
        ("127.0.0.1:8480", True),
        ("[::1]:8480", True),
        ("192.0.2.1", True),
        ("noc.example.net", True),
        ("NOC.example.net.:1", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_a_host_header_must_name_us(host: str, ours: bool) -> None:
    assert origin.host_is_ours(host, ["noc.example.net"]) is ours


@pytest.mark.parametrize(
    ("method", "headers", "foreign"),
    [
        ("POST", {}, False),
        ("POST", {"Host": "a:1", "Origin": "http://a:1"}, False),
        ("POST", {"Host": "a", "Origin": "https://a:443"}, False),
        ("POST", {"Host": "a:1", "Origin": "http://a:2"}, True),
        ("POST", {"Host": "a", "Origin": "null"}, True),
        ("POST", {"Host": "a", "Origin": "http://a", "Sec-Fetch-Site": "same-site"}, True),
        ("POST", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, True),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, True),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, True),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, False),
        ("GET", {"Sec-Fetch-Site": "same-origin"}, False),
    ],
)
def test_other_sites_pages_are_known(method: str, headers: dict[str, str], foreign: bool) -> None:
    assert origin.is_foreign(method, headers) is foreign


def test_scopes_include_those_before_them_and_what_is_not_listed_is_shut() -> None:
    assert [scopes.covers("operate", each) for each in scopes.SCOPES] == [True, True, True, False]
    assert scopes.needed("GET", "/new") == "read" and scopes.needed("DELETE", "/new") == "operate"
    assert scopes.needed("HEAD", "/metrics") == "metrics" and scopes.needed("GET", "/healthz") is None
    assert scopes.needed("POST", "/healthz") == "operate"


# ---- the record


def test_a_change_is_recorded_before_it_is_made_and_after(tmp_path: Path) -> None:
    log = Audit(tmp_path / "audit.db")
    number = log.begin("token noc", "192.0.2.7", "POST /api/v1/maintenance", "{}")
    assert [(each.what, each.outcome) for each in log.changes()] == [("POST /api/v1/maintenance", None)]
    with pytest.raises(AccessError), audit.by_command(log.path, "revoke x"):
        raise AccessError("there is none")
    log.end(number, "done (201)")
    assert [each.outcome for each in log.changes()] == ["done (201)", "failed: there is none"]
    assert log.path.stat().st_mode & 0o077 == 0


def test_the_record_only_grows_and_tells_when_it_was_tampered_with(tmp_path: Path) -> None:
    log = Audit(tmp_path / "audit.db")
    for each in range(3):
        log.end(log.begin("ann", "here", f"change {each}"), "done")
    with sqlite3.connect(log.path) as db:
        for statement in ("DELETE FROM entry", "UPDATE entry SET who = 'bob'"):
            with pytest.raises(sqlite3.IntegrityError, match="an entry stays"):
                db.execute(statement)
        db.execute("DROP TRIGGER entry_stays")
        db.execute("UPDATE entry SET who = 'bob' WHERE number = 3")
    with pytest.raises(AccessError, match="entry 3 is not as it was written"):
        log.changes()


def test_a_change_that_cannot_be_recorded_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "audit.db").write_bytes(b"not a database" * 100)
    done = []
    with pytest.raises(AccessError), audit.by_command(tmp_path / "audit.db", "revoke x"):
        done.append(1)
    assert not done


def test_secrets_in_a_body_are_not_recorded() -> None:
    body = b'{"who": "Ann", "token": "abc", "wifi": [{"psk": "def", "ssid": "x"}], "api_key": "ghi", "none": null}'
    assert audit.described(body) == '{"who": "Ann", "token": "…", "wifi": [{"psk": "…", "ssid": "x"}], "api_key": "…"}'
    assert audit.described(b"\xff") == ""


# ---- the file


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            'address = "0.0.0.0:1"',
            "http.address: 0.0.0.0:1 can be reached from elsewhere, and tokens would travel readable",
        ),
        ('metrics = {address = "[::]:1"}', "http.metrics.address: [::]:1 can be reached from elsewhere"),
        ('free = ["0.0.0.0/0"]', "http.free: 0.0.0.0/0 is far more than a network of yours"),
        ('proxies = ["proxy"]', "http.proxies: 'proxy' does not appear to be an IPv4 or IPv6 network"),
        ('tls = {certificate = "none.pem"}', "http.tls: "),
        ('tls = {certificate = "bad.pem"}', "bad.pem: others may read it: chmod 600"),
        ('tls = {certificate = "c", clients = {a = "read"}}', "http.tls: clients and client_crl need client_ca"),
        ('tls = {certificate = "c", client_ca = "d"}', "[http.tls.clients] must say which common name has which scope"),
        ('tls = {certificate = "c", client_ca = "d", clients = {a = "root"}}', "http.tls.clients"),
    ],
)
def test_an_address_that_is_not_safe_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "bad.pem").write_text("")
    (tmp_path / "bad.pem").chmod(0o644)
    (tmp_path / "collector.toml").write_text(f"[http]\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "collector.toml")
    assert problem in str(caught.value)


def test_an_open_address_needs_somebody_who_could_sign_in(tmp_path: Path) -> None:
    file = tmp_path / "collector.toml"
    file.write_text('[store]\npath = "collector.db"\n[http]\naddress = "0.0.0.0:1"\nproxies = ["192.0.2.1"]\n')
    config = load_config(file)
    with pytest.raises(
        ConfigError, match=r"http\.address: 0\.0\.0\.0:1 can be .* no token that is good: fibrewatch token"
    ):
        reachable.check(config, str(file))
    secrets_scan.register(TokenFile(config.tokens).add("noc", "read", datetime.now(UTC), None))
    reachable.check(config, str(file))
    file.write_text('[http]\naddress = "0.0.0.0:1"\nfree = ["172.31.84.0/24"]\n')
    reachable.check(load_config(file), str(file))
