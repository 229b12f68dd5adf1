"""collector.toml: defaults, relative paths, and each rule's exact message."""

from pathlib import Path

import pytest

from fibrewatch.errors import ConfigError
from fibrewatch_collector.config import load_config

EXAMPLE = Path(__file__).parents[3] / "deploy" / "collector.example.toml"


def write(folder: Path, text: str) -> Path:
    path = folder / "collector.toml"
    path.write_text(text)
    return path


def test_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, ""))
    assert (config.http.host, config.http.port) == ("127.0.0.1", 8480)
    assert (config.broker.host, config.broker.port, config.broker.tls) == ("127.0.0.1", 1883, None)
    assert config.store.retention_s == 400 * 86400
    assert config.sites == tmp_path / "sites.toml"


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, 'sites = "a/s.toml"\n[store]\npath = "c.db"\n[broker.tls]\nca = "ca.pem"\n'))
    assert config.sites == tmp_path / "a/s.toml"
    assert config.store.path == tmp_path / "c.db"
    assert config.broker.tls is not None
    assert config.broker.tls.ca == tmp_path / "ca.pem"
    assert config.broker.tls.key is None


def test_absolute_paths_stay(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, '[store]\npath = "/srv/c.db"\n')).store.path == Path("/srv/c.db")


@pytest.mark.parametrize(("text", "port"), [("[broker.tls]\n", 8883), ("[broker]\nport = 1\n[broker.tls]\n", 1)])
def test_port_follows_tls_unless_it_is_set(tmp_path: Path, text: str, port: int) -> None:
    assert load_config(write(tmp_path, text)).broker.port == port


def test_ipv6_address_has_brackets(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, '[http]\naddress = "[::1]:9000"\n'))
    assert (config.http.host, config.http.port) == ("::1", 9000)


def test_shipped_example_is_good() -> None:
    config = load_config(EXAMPLE)
    assert config.store.path == Path("/var/lib/fibrewatch/collector.db")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("brokr = 1\n", "brokr: no such key (did you mean broker?)"),
        (
            '[store]\nretention = "400 days"\n',
            "store.retention: '400 days': no such unit; duration takes ms, s, min, h, d",
        ),
        ('[store]\nretention = "1 h"\n', "store.retention: 3600.0: expected `float` >= 86400.0"),
        ("[broker]\nport = 70000\n", "broker.port: 70000: expected `int` <= 65535"),
        ('[http]\naddress = "127.0.0.1:99999"\n', "http.address: 99999 is not a port"),
        ('[broker.tls]\nkey = "k.pem"\n', "broker.tls: certificate and key go together"),
    ],
)
def test_bad_setting_is_refused_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: {problem}"
