"""Wi-Fi on virtual radios: the installed agent in there, and what it publishes, against what is known of that air."""

from pathlib import Path

from tests.lab.radio.play import play


def test_link(tmp_path: Path) -> None:
    facts = play("link", tmp_path / "lab")
    assert f"Connected to {facts['bssid']}" in facts["link"]
