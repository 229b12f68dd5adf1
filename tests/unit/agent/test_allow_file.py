"""The reflector's allow-list in a file: who is answered, and that it may change meanwhile."""

from pathlib import Path

import pytest

from fibrewatch.errors import ConfigError
from fibrewatch_agent.responder.allow_file import AllowFile
from fibrewatch_agent.responder.reflector import Reflector, ReflectorConfig, checked


def test_prefixes_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "allow"
    path.write_text("# who\n\n192.0.2.0/24   # paris/cargo/box-01\n2001:db8::7\n")
    allowed = AllowFile(path)
    assert "192.0.2.9" in allowed
    assert "2001:db8::7" in allowed
    assert "192.0.3.9" not in allowed


def test_file_without_prefixes_allows_nobody(tmp_path: Path) -> None:
    path = tmp_path / "allow"
    path.write_text("# paris/cargo/box-01: where from is not known\n")
    closed = Reflector(ReflectorConfig(port=0, allow_file=str(path)))
    both = Reflector(ReflectorConfig(port=0, allow_file=str(path), allow=("192.0.2.0/24",)))
    try:
        assert not closed._allowed("127.0.0.1")
        assert [both._allowed(source) for source in ("192.0.2.1", "127.0.0.1")] == [True, False]
    finally:
        closed.close()
        both.close()


def test_changed_file_is_taken_and_a_bad_one_refused_with_its_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, fresh = tmp_path / "allow", tmp_path / "fresh"
    path.write_text("192.0.2.1\n")
    allowed = AllowFile(path)
    fresh.write_text("192.0.2.2\n")
    fresh.replace(path)
    allowed.look()
    assert [source in allowed for source in ("192.0.2.1", "192.0.2.2")] == [False, True]
    path.write_text("192.0.2.3\n192.0.2.300\n")
    allowed.look()
    assert "192.0.2.2" in allowed
    assert f"the old one stays in force file={path}: line 2: '192.0.2.300' does not appear" in caplog.text


def test_file_that_is_gone_is_told_once_and_taken_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "allow"
    path.write_text("192.0.2.1\n")
    allowed = AllowFile(path)
    path.unlink()
    for _ in range(3):
        allowed.look()
    assert "192.0.2.1" in allowed
    assert caplog.text.count("No such file") == 1
    path.write_text("192.0.2.2\n")
    allowed.look()
    assert "192.0.2.2" in allowed


def test_file_that_can_not_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "allow"
    with pytest.raises(ConfigError, match=r"^--reflector-allow-file: .*/allow: No such file or directory$"):
        checked(ReflectorConfig(allow_file=str(path)))
    path.write_text("10.0.0.0/40")
    with pytest.raises(ConfigError, match=r"^--reflector-allow-file: .*/allow: line 1: '10\.0\.0\.0/40' does not"):
        checked(ReflectorConfig(allow_file=str(path)))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"^--reflector-allow-file: .*/allow: 'utf-8' codec"):
        checked(ReflectorConfig(allow_file=str(path)))
