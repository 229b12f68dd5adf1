"""Enrolled boxes on the shipped broker: who gets in, what each may do, and how one is shut out."""

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.certificates import Authority as OtherAuthority
from tests.support.enrolled import AGENT, Operator, Stranger, copied, run, serial_lines, until

PING = '[targets.near]\naddress = "127.0.0.1"\nrole = "operator"\n[tests.near]\nprobe = "tcp"\nevery = "500 ms"\n'
MINE = "fibrewatch/v1/paris/cargo/box-04"
CHANNELS = ("results", "status", "inventory", "renew", "anything/else")


def small_tests(operator: Operator) -> str:
    """Two small results a second."""
    return f'{PING}targets = ["near"]\nparams = {{ port = {operator.broker.port} }}\n'


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    made = Operator(tmp_path_factory.mktemp("operator"), "box-01", "box-02", "box-03", "box-04")
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(("box", "token"), [("box-01", True), ("box-02", False)])
def test_a_box_that_joined_delivers(operator: Operator, box: str, token: bool) -> None:
    made = operator.joined(box, small_tests(operator), token=token)
    assert (made.own.stat().st_mode & 0o777, made.ca.stat().st_mode & 0o777) == (0o600, 0o644)
    agent = operator.start_agent(made)
    until(lambda: operator.stored(box) >= 3, f"results of {box}: {made.log}")
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(30) == 0


def test_the_collector_tells_until_when_its_certificates_are_good(operator: Operator) -> None:
    from fibrewatch_collector.identity.certificates import read_certificate

    files = {"broker": "server.pem", "collector": "collector.pem", "authority": "ca.pem", "joining": "join.pem"}

    def told() -> dict[str, float]:
        page = operator.collector.get("/metrics")[1].decode()
        lines = re.findall(r'_certificate_until_timestamp_seconds\{certificate="(\w+)"\} (\S+)', page)
        return {name: float(value) for name, value in lines}

    until(lambda: told().keys() == files.keys(), "all four")
    for name, value in told().items():
        last = read_certificate((operator.authority / files[name]).read_bytes()).not_valid_after_utc
        assert value == last.timestamp(), name


def test_a_token_is_good_once(operator: Operator) -> None:
    word = operator.ok("enrol", "paris/cargo/box-03")
    first = operator.joined("box-03")
    again = first.join("--token", "-", "--replace", text=word)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "the token is unknown, used or too old" in again.stderr
    # the box of the later token is untouched by it
    assert len(serial_lines(operator.ok("ca", "list"), "box-03")) == 1


def test_a_box_is_nobody_else(operator: Operator) -> None:
    """What it says elsewhere reaches nobody, what others say does not reach it; though the broker says yes to all."""
    mine, other = operator.joined("box-04"), "fibrewatch/v1/paris/cargo/box-02"
    collector = operator.authority / "collector.pem"
    watcher = Stranger(operator.broker.inner, operator.authority / "ca.pem", collector)
    assert watcher.connect()
    watcher.ask("fibrewatch/v1/+/+/+/up/#")
    watcher.ask("fibrewatch/v1/+/collector")
    until(lambda: any(topic.endswith("/collector") for topic, _ in watcher.heard), "what is retained")
    box = Stranger(operator.broker.port, mine.ca, mine.own, identifier="paris.cargo.box-02", will=f"{other}/up/status")
    assert box.connect()
    for topic in ("#", "+/#", "fibrewatch/#", "fibrewatch/v1/+/+/+/up/results", "$SYS/#", f"{other}/down/ack"):
        box.ask(topic)
    for channel in CHANNELS:
        for topic in (f"{other}/up/{channel}", f"{other}/down/{channel}", f"{MINE}/down/{channel}"):
            box.say(topic, b"forged")
            box.say(topic, b"forged", retain=True)
        watcher.say(f"{other}/down/{channel}", b"for another")
    for topic in ("fibrewatch/v1/paris/collector", "other", "$SYS/broker/x", MINE):
        box.say(topic, b"forged", retain=True)
    honest = Stranger(operator.broker.port, mine.ca, operator.joined("box-02").own)
    assert honest.connect()
    honest.say(f"{other}/up/results", b"another's")
    watcher.say(f"{MINE}/down/ack", b"for me")
    box.say(f"{MINE}/up/results", b"mine")
    until(lambda: (f"{MINE}/up/results", b"mine") in watcher.heard, "its own word")
    until(lambda: (f"{MINE}/down/ack", b"for me") in box.heard, "its own ear")
    box.vanish()
    late = Stranger(operator.broker.inner, operator.authority / "ca.pem", collector)
    assert late.connect()
    late.ask("fibrewatch/v1/+/+/+/up/#")
    late.ask("fibrewatch/v1/+/collector")
    until(lambda: any(topic.endswith("/collector") for topic, _ in late.heard), "what is retained")
    everything = [*watcher.heard, *late.heard]
    assert not [each for each in everything if each[1] in {b"forged", b"will"}]
    assert {topic for topic, _ in box.heard} <= {f"{MINE}/down/ack", "fibrewatch/v1/paris/collector"}
    for each in (watcher, honest, late):
        each.close()


def test_nobody_takes_over_another_s_connection(operator: Operator) -> None:
    """By its client id; two with one certificate are the same box, and the later one has the connection."""
    first = operator.joined("box-01", small_tests(operator))
    second = operator.joined("box-02")
    box = Stranger(operator.broker.port, first.ca, first.own, identifier="paris/cargo/box-01")
    thief = Stranger(operator.broker.port, second.ca, second.own, identifier="paris/cargo/box-01")
    assert box.connect()
    assert thief.connect()
    box.say("fibrewatch/v1/paris/cargo/box-01/up/results")
    thief.say("fibrewatch/v1/paris/cargo/box-02/up/results")
    assert not box.ended
    box.close()
    thief.close()


def test_who_has_no_good_certificate_stays_outside(operator: Operator, tmp_path: Path) -> None:
    ca = operator.authority / "ca.pem"
    others = OtherAuthority(tmp_path / "other")
    subject = "/CN=paris\\/cargo\\/box-01"
    assert not Stranger(operator.broker.port, ca, None).connect()
    assert not Stranger(operator.broker.port, ca, others.certificate("box", subject=subject)).connect()
    assert not Stranger(operator.broker.port, ca, _expired(operator, tmp_path)).connect()
    assert not Stranger(operator.broker.inner, ca, None).connect(), "the inner listener asks as well"
    assert Stranger(operator.broker.inner, ca, operator.authority / "collector.pem").connect()


def _expired(operator: Operator, folder: Path) -> Path:
    """Of the right authority, and over since yesterday."""
    from fibrewatch_collector.identity import certificates
    from fibrewatch_collector.identity.authority import Authority

    day = timedelta(days=1)
    authority = Authority(operator.authority, clock=lambda: datetime.now(UTC) - 0 * day)
    key = certificates.new_key()
    time_ = certificates.Time(datetime.now(UTC) - 3 * day, datetime.now(UTC) - day)
    signer = certificates.Signer(authority.certificate, authority._key)
    made = certificates.leaf("paris/cargo/box-01", key.public_key(), "box", signer, time_)
    path = folder / "expired.pem"
    path.write_bytes(certificates.pem(made).encode() + certificates.key_pem(key))
    return path


def test_a_burst_of_bad_handshakes_disturbs_nobody(operator: Operator) -> None:
    made = operator.joined("box-02", small_tests(operator))
    box = Stranger(operator.broker.port, made.ca, made.own)
    assert box.connect()
    for number in range(200):
        with socket.create_connection(("127.0.0.1", operator.broker.port), 10) as garbage:
            garbage.sendall(b"\x16\x03\x01" + bytes([number]) * 300)
    assert not Stranger(operator.broker.port, made.ca, None).connect()
    box.say("fibrewatch/v1/paris/cargo/box-02/up/status")
    assert not box.ended
    box.close()


def test_a_revoked_box_is_out_within_a_minute_and_the_others_notice_nothing(operator: Operator, tmp_path: Path) -> None:
    thief, honest = operator.joined("box-03", small_tests(operator)), operator.joined("box-04", small_tests(operator))
    agent = operator.start_agent(thief)
    operator.start_agent(honest)
    until(lambda: min(operator.stored("box-03"), operator.stored("box-04")) > 0, "results of both")
    stolen = copied(thief.own, tmp_path / "stolen.pem")
    bystander = Stranger(operator.broker.port, honest.ca, operator.joined("box-02").own)
    assert bystander.connect()
    began = time.monotonic()
    tokens = with_responder(operator, tmp_path)
    told = operator.ok("revoke", "paris/cargo/box-03", "--why", "stolen")
    assert f"{tokens}: paris/cargo/box-03: its token is void" in told
    assert [line.split()[0] for line in tokens.read_text().splitlines()] == ["paris/cargo/box-04"]
    until(lambda: "no connection to" in thief.log, f"the thief's end: {told} {thief.log}")
    assert not Stranger(operator.broker.port, thief.ca, stolen).connect()
    assert time.monotonic() - began < 60, "the promise is a minute"
    assert not bystander.ended
    at_the_end = operator.stored("box-03")
    before = operator.stored("box-04")
    until(lambda: operator.stored("box-04") > before + 3, "more of the honest box")
    assert operator.stored("box-03") == at_the_end
    assert agent.poll() is None, "a box that is shut out goes on trying"
    assert honest.log.count("no connection to") == 0
    bystander.close()


def with_responder(operator: Operator, folder: Path) -> Path:
    """A responder with tokens for two boxes, which the authority tells; its file of tokens."""
    file, tokens = folder / "responder.toml", folder / "tokens"
    file.write_text(f'[control]\ncapacity = "1 Gbit/s"\ntokens = "{tokens}"\n')
    responder = [*AGENT, "responder", "--config", str(file)]
    for box in ("box-03", "box-04"):
        assert run([*responder, "--new-token", f"paris/cargo/{box}"]).returncode == 0
    settings = operator.authority / "authority.toml"
    settings.write_text(f"responders = {json.dumps([[*responder, '--revoke-token']])}\n{settings.read_text()}")
    return tokens


def test_a_box_that_is_enrolled_again_is_let_in(operator: Operator) -> None:
    operator.joined("box-01")
    operator.ok("revoke", "paris/cargo/box-01", "--why", "stolen")
    assert "shut out" in operator.ok("ca", "list")
    again = operator.joined("box-01", small_tests(operator))
    assert "shut out" not in [line for line in operator.ok("ca", "list").splitlines() if "box-01" in line][-1]
    before = operator.stored("box-01")
    operator.start_agent(again)
    until(lambda: operator.stored("box-01") > before, "its results")


@pytest.mark.parametrize("how", ["tampered", "readable", "cut off", "not one"])
def test_a_bad_bundle_is_one_clear_line_and_nothing_is_written(operator: Operator, tmp_path: Path, how: str) -> None:
    from tests.support.enrolled import Box

    path, box = tmp_path / "bundle", Box(tmp_path / "box")
    operator.ok("enrol", "paris/cargo/box-02", "--bundle", str(path))
    said = {
        "tampered": "its signature does not fit",
        "readable": f"chmod 600 {path}",
        "cut off": "not the whole of it",
        "not one": "this is no bundle",
    }[how]
    if how == "tampered":
        bundle = json.loads(path.read_text())
        bundle["broker"]["host"] = "evil.example.net"
        path.write_text(json.dumps(bundle))
    elif how == "readable":
        path.chmod(0o644)
    elif how == "cut off":
        path.write_bytes(path.read_bytes()[:-40])
    else:
        path.write_text("hello\n")
    done = box.join(str(path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert not box.config.exists()
    assert not box.state.exists()


def test_a_clock_that_is_years_off_is_said(operator: Operator, tmp_path: Path) -> None:
    from fibrewatch.identity import IdentityError
    from fibrewatch_agent.identity import join
    from fibrewatch_collector.identity.authority import Authority

    path = tmp_path / "bundle"
    operator.ok("enrol", "paris/cargo/box-02", "--bundle", str(path))
    place = join.Place(tmp_path / "etc" / "agent.toml", tmp_path / "state")
    for year in (1970, 2060):
        with pytest.raises(IdentityError, match=f"this box's clock says {year}"):
            join.write(join.from_bundle(path), place, clock=lambda year=year: datetime(year, 1, 1, tzinfo=UTC))
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(IdentityError, match="this machine's clock says 1999"):
        Authority(operator.authority, clock=lambda: datetime(1999, 1, 1, tzinfo=UTC)).now()


def test_a_box_does_not_become_another_by_mistake(operator: Operator, tmp_path: Path) -> None:
    made = operator.joined("box-02")
    before = made.config.read_text()
    path = tmp_path / "bundle"
    operator.ok("enrol", "paris/cargo/box-04", "--bundle", str(path))
    done = made.join(str(path))
    assert done.returncode == 2
    assert "this box is paris/cargo/box-02, and not paris/cargo/box-04" in done.stderr
    assert made.config.read_text() == before
    own, kept = made.own.read_bytes(), made.config.rename(tmp_path / "agent.toml")
    done = made.join(str(path))  # the config is gone, the key is not
    assert (done.returncode, made.own.read_bytes(), made.config.exists()) == (2, own, False)
    assert f"{made.own}: this box is paris/cargo/box-02, and not paris/cargo/box-04" in done.stderr
    kept.rename(made.config)
    assert made.join(str(path), "--replace").returncode == 0
    assert 'name = "box-04"' in made.config.read_text()


def test_no_room_at_enrolment_leaves_nothing_half_done(operator: Operator, tmp_path: Path) -> None:
    from tests.support.enrolled import Box

    path, box = tmp_path / "bundle", Box(tmp_path / "box")
    operator.ok("enrol", "paris/cargo/box-02", "--bundle", str(path))
    box.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=3", "tmpfs", str(box.state)], check=True)
    try:
        (box.state / "full").write_bytes(bytes(4096))
        done = box.join(str(path))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"{box.own}: No space left on device" in done.stderr
        assert not box.config.exists()
        assert not box.ca.exists()
        assert [each.name for each in box.state.iterdir()] == ["full"]
    finally:
        subprocess.run(["umount", str(box.state)], check=True)


def test_a_key_that_others_may_read_is_refused_at_start(operator: Operator) -> None:
    made = operator.joined("box-02", small_tests(operator))
    made.own.chmod(0o644)
    agent = operator.start_agent(made)
    assert agent.wait(60) == 2
    assert "broker.tls.key" in made.log
    assert "others may read it" in made.log
