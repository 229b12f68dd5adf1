"""Each rule of the responder's file has a bad one and its exact message; who a box is, by certificate or token."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibrewatch.errors import ConfigError
from fibrewatch_agent.responder import service
from fibrewatch_agent.responder.config import load_responder
from fibrewatch_agent.responder.identity import Tokens, common_name, digest, issue, read_tokens
from fibrewatch_agent.responder.watch import peers

BAD = Path(__file__).parent / "bad_responders"
EXAMPLE = Path(__file__).parents[3] / "deploy/responder.example.toml"
ONE, TWO = "paris/cargo/box-01", "paris/cargo/box-02"

MESSAGES = {
    "bad_site": "control.sites: 'cargo' is not territory/site",
    "capacity_without_unit": 'control.capacity: 1000 has no unit: write it as "500 Mbit/s"',
    "empty": "nothing to serve: [control], [open] or [reflector] is missing",
    "firewall": "control.firewall: 'on': invalid enum value 'on'; one of auto, required, off",
    "listen_by_name": "control.listen: 'localhost' is not a numeric address",
    "long_wait": "control.limits.wait: 60.0: expected `float` <= 25.0",
    "no_capacity": "control: capacity is missing",
    "nobody_known": "control: no box could be known: tokens, or tls.ca for certificates, is missing",
    "open_among_slots": "open.ports: they overlap with control.ports",
    "open_backwards": "open.ports: the first is greater than the last",
    "port_among_slots": "control.port: 5300 is one of control.ports",
    "ports_backwards": "control.ports: the first is greater than the last",
    "tokens_in_clear": "control.tls: missing: on 0.0.0.0 tokens would cross the line in clear",
    "unknown_key": "control.limits.queue: no such key (did you mean queued?)",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_bad_file_is_refused_with_its_message(name: str) -> None:
    path = BAD / f"{name}.toml"
    with pytest.raises(ConfigError) as caught:
        load_responder(path)
    assert str(caught.value) == f"{path}: {MESSAGES[name]}"


def test_every_bad_file_has_its_message() -> None:
    assert {path.stem for path in BAD.iterdir()} == set(MESSAGES)


def test_example_is_good_as_it_is_and_with_all_that_it_offers(tmp_path: Path) -> None:
    assert load_responder(EXAMPLE).control is not None
    lines = EXAMPLE.read_text().splitlines()
    offered = tmp_path / "all.toml"
    offered.write_text("\n".join(line.removeprefix("# ") if _is_toml(line) else line for line in lines))
    file = load_responder(offered)
    assert file.open is not None
    assert file.control is not None
    assert file.control.tls is not None
    assert file.control.sites["paris/cargo"].running == 2


def _is_toml(line: str) -> bool:
    return line.startswith("# [") or (line.startswith("# ") and " = " in line)


def test_check_reads_what_the_file_names(tmp_path: Path) -> None:
    file, tokens = tmp_path / "responder.toml", tmp_path / "tokens"
    file.write_text(f'[control]\ncapacity = "1 Gbit/s"\ntokens = "{tokens}"\n')
    with pytest.raises(ConfigError, match="No such file"):
        service.check(file)
    service.new_token(file, ONE)
    assert service.check(file) == (
        f"{file}: ok; slots on 127.0.0.1 port 5200, 1000 Mbit/s, boxes known by tokens (1 tokens)"
    )


def test_token_is_kept_hashed_and_replaced_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    first, other = issue(path, ONE), issue(path, TWO)
    tokens = Tokens(path)
    assert first not in path.read_text()
    assert (tokens.box(first), tokens.box(other)) == (ONE, TWO)
    second = issue(path, ONE)
    tokens.refresh()
    assert (tokens.box(first), tokens.box(second), tokens.box(other)) == (None, ONE, TWO)
    assert path.stat().st_mode & 0o777 == 0o600


def test_token_is_taken_back_at_once_and_others_stay(tmp_path: Path) -> None:
    file, path = tmp_path / "responder.toml", tmp_path / "tokens"
    file.write_text(f'[control]\ncapacity = "1 Gbit/s"\ntokens = "{path}"\n')
    token, other = issue(path, ONE), issue(path, TWO)
    tokens = Tokens(path)
    assert service.revoke_token(file, ONE) == f"{path}: {ONE}: its token is void"
    tokens.refresh()
    assert (tokens.box(token), tokens.box(other)) == (None, TWO)
    assert service.revoke_token(file, ONE) == f"{path}: {ONE} had no token"


@pytest.mark.parametrize("token", ["", "x", "x" * 201, digest("token"), "tokén", "\x00", "\udcff"])
def test_what_is_no_token_is_nobodys(tmp_path: Path, token: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"{ONE} sha256:{digest('token')}\n")
    assert Tokens(path).box(token) is None
    assert Tokens(path).box("token") == ONE


def test_bad_tokens_let_nobody_in_until_they_are_mended(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    token = issue(path, ONE)
    tokens = Tokens(path)
    path.write_text("nonsense\n")
    os.utime(path, ns=(1, 1))
    with pytest.raises(ConfigError, match="line 1: not of the form"):
        tokens.refresh()
    assert tokens.box(token) is None
    path.write_text(f"{ONE} sha256:{digest(token)}\n")
    tokens.refresh()
    assert tokens.box(token) == ONE


@contextlib.contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Mode 000, and for root too: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, see capset(2)."""
    libc, header, sets = (
        ctypes.CDLL(None, use_errno=True),
        (ctypes.c_uint32 * 2)(0x20080522, 0),
        (ctypes.c_uint32 * 6)(),
    )
    assert libc.capget(header, sets) == 0
    before = sets[0]
    path.chmod(0)
    sets[0] = before & ~0b110
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = before
        assert libc.capset(header, sets) == 0
        path.chmod(0o600)


def test_file_that_could_not_be_read_is_read_when_it_can(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    revoked, kept = issue(path, ONE), issue(path, TWO)
    tokens = Tokens(path)
    path.write_text(f"{TWO} sha256:{digest(kept)}\n")
    with unreadable(path), pytest.raises(ConfigError, match="Permission denied"):
        tokens.refresh()
    assert (tokens.box(revoked), tokens.box(kept)) == (None, None)
    tokens.refresh()
    assert (tokens.box(revoked), tokens.box(kept)) == (None, TWO)


def test_file_that_is_away_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    token = issue(path, ONE)
    tokens = Tokens(path)
    path.rename(tmp_path / "aside")
    with pytest.raises(ConfigError, match="No such file"):
        tokens.refresh()
    assert tokens.box(token) is None
    (tmp_path / "aside").rename(path)
    tokens.refresh()
    assert tokens.box(token) == ONE


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{ONE} md5:00", "line 1: not of the form"),
        (f"# who\n\nparis/cargo sha256:{'0' * 64}", "line 3: not of the form"),
        (f"{ONE} sha256:{'0' * 64}\n{ONE} sha256:{'1' * 64}", f"line 2: {ONE} is there twice"),
    ],
)
def test_bad_line_of_the_tokens_is_named(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_tokens(text, "tokens")


def test_token_for_no_box_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not territory/site/agent"):
        issue(tmp_path / "tokens", "Paris/cargo/box")
    assert not (tmp_path / "tokens").exists()


@pytest.mark.parametrize(
    ("subject", "box"),
    [
        (((("commonName", ONE),),), ONE),
        (((("organizationName", "Cargo"),), (("commonName", ONE),)), ONE),
        (((("commonName", ONE),), (("commonName", TWO),)), None),
        (((("commonName", "paris/cargo/#"),),), None),
        (((("commonName", f"{ONE}\n"),),), None),
        ((), None),
    ],
)
def test_certificate_names_one_box_or_none(subject: tuple[object, ...], box: str | None) -> None:
    assert common_name({"subject": subject}) == box
    assert common_name(None) is None


def test_peers_of_a_port_are_counted_by_address_of_either_family(tmp_path: Path) -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    rows = (
        "   0: 0100007F:1452 00000000:0000 0A 0 0 0 0 0 1",  # listening
        "   1: 0100007F:1452 0200000A:9C40 01 0 0 0 0 0 2",
        "   2: 0100007F:1452 0200000A:9C41 01 0 0 0 0 0 3",
        "   3: 0100007F:1453 0300000A:9C41 01 0 0 0 0 0 4",  # another port
        "   4: 0100007F:1452 0400000A:9C41 06 0 0 0 0 0 0",  # TIME_WAIT
    )
    (tmp_path / "tcp").write_text(head + "\n".join(rows) + "\n")
    mapped = "0000000000000000FFFF00000500000A"
    six = "B80D0120000000000000000001000000"
    (tmp_path / "tcp6").write_text(
        head + f"   0: {mapped}:1452 {mapped}:9C40 01 0 0 0 0 0 5\n   1: {six}:1452 {six}:9C40 01 0 0 0 0 0 6\n"
    )
    assert peers(0x1452, tmp_path) == {"10.0.0.2": 2, "10.0.0.5": 1, "2001:db8::1": 1}
